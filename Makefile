# larder's build. `make` builds bin/; `make help` lists the targets.
#
# SAN=address|undefined|thread builds into build/san-NAME instead of build/release; PLANTED=1 builds
# with the faults of common/planted.h into build/planted.

CC ?= cc
Q := $(if $(V),,@)
SAN ?=
PLANTED ?=
MODE := $(if $(PLANTED),planted,$(if $(SAN),san-$(SAN),release))
OUT := build/$(MODE)
BIN := $(if $(filter release,$(MODE)),bin,$(OUT)/bin)

PKGS := libevent_core libevent_pthreads libcurl libcrypto jansson
WARN := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Werror
HARDEN := -fstack-protector-strong -fPIE $(if $(SAN),,-D_FORTIFY_SOURCE=2)
OPT ?= $(if $(SAN),-O1 -fno-omit-frame-pointer,-O2)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
CPPFLAGS += -D_GNU_SOURCE -I. $(if $(PLANTED),-DLARDER_PLANTED) $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
CFLAGS += -std=c11 -g $(OPT) $(WARN) $(HARDEN) $(SANFLAGS) -pthread
LDFLAGS += -pie -Wl,-z,relro,-z,now $(SANFLAGS) -pthread
# LevelDB's archive, not its shared library, which hides what common/ldb.c needs to have files read, not
# mapped. What it is built on is there wherever the shared one is installed, which comes with it.
LDLIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -l:libleveldb.a -l:libsnappy.so.1 -l:libstdc++.so.6 -lm

PREFIX ?= /usr/local
DESTDIR ?=

lib_sources = $(filter-out $(1)/main.c,$(wildcard $(1)/*.c))
objects = $(patsubst %.c,$(OUT)/%.o,$(1))

COMMON_LIB := $(OUT)/libcommon.a
MASTER_LIB := $(OUT)/libmaster.a
VOLUME_LIB := $(OUT)/libvolume.a
TOOL_LIB := $(OUT)/libtool.a
PROGRAMS := $(BIN)/larder-master $(BIN)/larder-volume $(BIN)/larder

# A test's name begins with the part that it tests: common_key.c, master_put.c, volume_store.c, tool_….c
UNIT := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/unit/*.c tests/flow/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/*.c))

.PHONY: all help check unit cluster faults lint format format-check includes tidy asan ubsan tsan fuzz fuzz-build bench install clean
.SECONDARY:

all: $(PROGRAMS)

help:
	@echo "make                 bin/larder-master, bin/larder-volume, bin/larder"
	@echo "make check           unit, flow and cluster tests"
	@echo "make unit            unit and flow tests only"
	@echo "make cluster         tests with real processes only"
	@echo "make faults          kills, power losses, bad disks and networks (HOURS=2: a soak)"
	@echo "make asan|ubsan|tsan the tests under a sanitizer"
	@echo "make fuzz            fuzzes all parsers, FUZZ_SECONDS=$(FUZZ_SECONDS) each (0: until Ctrl-C)"
	@echo "make lint            clang-format, clang-tidy, and the rules about includes"
	@echo "make format          formats the sources"
	@echo "make bench           larder beside its limits, into build/bench.md (FULL=1: the large rows, PEER=URL)"
	@echo "make install         into DESTDIR PREFIX ($(PREFIX))"

$(BIN)/larder-master: $(OUT)/master/main.o $(MASTER_LIB) $(COMMON_LIB)
$(BIN)/larder-volume: $(OUT)/volume/main.o $(VOLUME_LIB) $(COMMON_LIB)
$(BIN)/larder: $(OUT)/tools/larder/main.o $(TOOL_LIB) $(COMMON_LIB)
$(PROGRAMS):
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LINK $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(COMMON_LIB): $(call objects,$(wildcard common/*.c))
$(MASTER_LIB): $(call objects,$(call lib_sources,master))
$(VOLUME_LIB): $(call objects,$(call lib_sources,volume))
$(TOOL_LIB): $(call objects,$(call lib_sources,tools/larder))
$(OUT)/lib%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(OUT)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC   $<")
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

-include $(shell find build -name '*.d' 2>/dev/null)

# --- tests ---

part_lib = $(foreach p,$(1),$(if $(filter common_%,$(p)),,$(OUT)/lib$(firstword $(subst _, ,$(p))).a))
.SECONDEXPANSION:
$(OUT)/tests/%: $(OUT)/tests/%.o $$(call part_lib,$$(notdir $$*)) $(COMMON_LIB)
	@mkdir -p $(@D)
	$(if $(Q),@echo "  LINK $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs check 2>/dev/null) $(LDLIBS)

# What includes tests/flow/fake_base.h is tried with each of its allocations failing.
WRAP := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup,--wrap=strndup,--wrap=_mark_point
$(OUT)/tests/flow/master_%: LDFLAGS += $(WRAP)
$(patsubst %,$(OUT)/tests/unit/master_%,facts health replicate replicate_agree replicate_whole volumes volumes_look volumes_page): LDFLAGS += $(WRAP)

# A test that loses wake-ups; one without room for answers; one that counts what is allocated.
$(OUT)/tests/flow/volume_put_races: LDFLAGS += -Wl,--wrap=pthread_cond_broadcast
$(OUT)/tests/flow/volume_get_gone: LDFLAGS += -Wl,--wrap=room_take
$(OUT)/tests/unit/volume_spares: LDFLAGS += -Wl,--wrap=aligned_alloc

unit: $(UNIT)
	@tools/run-unit.sh $(UNIT)

# Programs that tests with real processes use.
MKVDB := $(OUT)/tests/cluster/mkvdb
LOADER := $(OUT)/tests/cluster/loader
$(MKVDB) $(LOADER): %: %.o $(COMMON_LIB)
	$(if $(Q),@echo "  LINK $@")
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)
cluster: all $(MKVDB)
	@LARDER_BIN=$(abspath $(BIN)) CLUSTER_MKVDB=$(abspath $(MKVDB)) tools/run-cluster.sh $(TESTS)

# The short form takes a few minutes; HOURS=2 makes it a soak of that length.
HOURS ?=
faults: all $(LOADER)
	@$(MAKE) -s PLANTED=1 all
	@LARDER_BIN=$(abspath $(BIN)) FAULTS_LOADER=$(abspath $(LOADER)) LARDER_PLANTED_BIN=$(abspath build/planted/bin) HOURS=$(HOURS) \
		python3 -B tests/faults/run.py $(FAULTS)

check: unit cluster

asan:
	$(MAKE) check SAN=address
ubsan:
	$(MAKE) check SAN=undefined
tsan:
	$(MAKE) check SAN=thread

FUZZ_SECONDS ?= 10
FUZZ_CC ?= clang
FUZZ_FLAGS := -std=c11 -g -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -pthread
build/fuzz/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(if $(Q),@echo "  CC   $< (fuzz)")
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<
build/fuzz/libcommon.a: $(patsubst %.c,build/fuzz/obj/%.o,$(wildcard common/*.c))
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
build/fuzz/%: build/fuzz/obj/tests/fuzz/%.o build/fuzz/libcommon.a
	$(if $(Q),@echo "  LINK $@")
	$(Q)$(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o $@ $^ $(LDLIBS)
fuzz-build: $(FUZZERS)
fuzz: fuzz-build
	@tools/run-fuzz.sh $(FUZZ_SECONDS) $(FUZZERS)

# Beside its limits: about three minutes; FULL=1 has the large rows, too (half an hour, 25 GB).
# PEER=URL takes another server of this API into the comparison.
FULL ?=
PEER ?=
BENCHERS := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/bench/*.c))
bench: all $(BENCHERS)
	@LARDER_BIN=$(abspath $(BIN)) BENCH_TOOLS=$(abspath $(OUT)/tests/bench) FULL=$(FULL) PEER=$(PEER) \
		tools/bench.sh $(ROWS)

# --- rules about the source ---

SOURCES := $(wildcard common/*.[ch] master/*.[ch] volume/*.[ch] tools/larder/*.[ch] tests/*/*.[ch])
format:
	clang-format -i $(SOURCES)
format-check:
	clang-format --dry-run -Werror $(SOURCES)
includes:
	@tools/check-includes.sh
TIDY := $(patsubst %.c,build/tidy/%.ok,$(filter %.c,$(SOURCES)))
build/tidy/%.ok: %.c .clang-tidy
	@mkdir -p $(@D)
	clang-tidy --quiet $< -- -std=c11 $(CPPFLAGS) 2>/dev/null
	@touch $@
tidy: $(TIDY)
lint: format-check includes tidy

install: all
	install -d $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin

clean:
	rm -rf build bin
