#!/bin/sh
# Each third-party header is used in exactly one .c file, and dependencies point one way.
bad=0
for header in $(grep -rhoE '#include <(event2|leveldb|curl|openssl|jansson)[^>]*>' common master volume tools |
    sed 's/.*<\(.*\)>/\1/' | sort -u); do
    users=$(grep -rlF "#include <$header>" common master volume tools)
    if [ "$(echo "$users" | wc -l)" -ne 1 ]; then
        echo "<$header> is included in more than one place:" $users
        bad=1
    fi
    case "$users" in *.h)
        echo "<$header> is included by a header: $users"
        bad=1
        ;;
    esac
done
for library in leveldb curl openssl jansson; do
    users=$(grep -rlE "#include <$library" common master volume tools | wc -l)
    [ "$users" -le 1 ] || { echo "$library is used in $users files"; bad=1; }
done
if grep -rnE '#include "(master|volume|tools)/' common; then
    echo "common/ must not depend on a program"
    bad=1
fi
grep -rnE '#include "(volume|tools)/' master && bad=1
grep -rnE '#include "(master|tools)/' volume && bad=1
grep -rnE '#include "(master|volume)/' tools && bad=1
exit $bad
