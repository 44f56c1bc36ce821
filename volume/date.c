#include "volume/date.h"

#include <stdio.h>
#include <string.h>

/* The program never calls setlocale(), so these are the English names that HTTP wants. */
void date_format(time_t when, char text[DATE_SIZE])
{
    struct tm tm;
    if (!gmtime_r(&when, &tm) || strftime(text, DATE_SIZE, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        (void)snprintf(text, DATE_SIZE, "Thu, 01 Jan 1970 00:00:00 GMT");
}

bool date_parse(const char *text, time_t *when)
{
    static const char *const forms[] = {
        "%a, %d %b %Y %H:%M:%S GMT", /* IMF-fixdate */
        "%A, %d-%b-%y %H:%M:%S GMT", /* RFC 850 */
        "%a %b %e %H:%M:%S %Y",      /* asctime() */
    };
    /* A form must take all of the text: strptime() stops where it is satisfied. */
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm;
        /* strptime() sets only what the form names. */
        memset(&tm, 0, sizeof(tm));
        const char *end = strptime(text, forms[i], &tm);
        if (end && *end == '\0') {
            *when = timegm(&tm);
            return true;
        }
    }
    return false;
}
