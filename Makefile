# sidestream: one Makefile, read from top to bottom. `make help` lists the targets.
#
# Variables for the command line: CC, CFLAGS, SANITIZE (address,undefined | thread), WERROR=0, BUILD,
# PREFIX, SYSCONFDIR, DESTDIR, LDFLAGS, MODULES (folders to build), ONLY (unit tests to run: "avro_* base").

VERSION  := 0.1.0
CC       := gcc
PREFIX   ?= /usr/local
SYSCONFDIR ?= /etc
SANITIZE ?=
WERROR   ?= 1
comma    := ,
BUILD    ?= build/$(if $(SANITIZE),$(subst $(comma),-,$(SANITIZE)),release)

# --- modules: a folder is one; a new connector needs nothing here ---------------------------------
MODULES ?= $(sort $(patsubst %/,%,$(dir $(wildcard core/*/*.c connectors/*/*.c))))
PKGS    := libpq libmariadb jansson yaml-0.1 libdeflate libzstd sqlite3 libssl libcrypto avro-c libcurl libmicrohttpd rdkafka

# --- flags ----------------------------------------------------------------------------------------
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
  -Wold-style-definition -Wvla -Wwrite-strings -Wformat=2 -Wpointer-arith -fno-common \
  $(if $(filter 1,$(WERROR)),-Werror)
OPT    := $(if $(SANITIZE),-O1 -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined,-O2)
CFLAGS ?= -g $(OPT)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
ALL_CFLAGS  = -std=gnu11 $(WARN) $(CFLAGS) -Iinclude -Icore -DCDC_VERSION='"$(VERSION)"' $(PKG_CFLAGS) -MMD -MP
LDLIBS      = $(PKG_LIBS) -pthread -lm $(if $(SANITIZE),-fsanitize=$(SANITIZE))

# --- files ----------------------------------------------------------------------------------------
SRC   := $(filter-out core/cli/main.c,$(foreach m,$(MODULES),$(wildcard $(m)/*.c)))
OBJ   := $(SRC:%.c=$(BUILD)/%.o)
TESTO := $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fakes/*.c tests/contract/*.c))
ONLY  ?= *
UNIT  := $(sort $(foreach p,$(ONLY),$(wildcard tests/unit/test_$(p).c)))
LIVE  := $(wildcard tests/live/test_*.c)
FUZZ  := $(wildcard tests/fuzz/fuzz_*.c)


.PHONY: all help libraries unit unit-build live fuzz-build fuzz demo demo-kafka demo-mysql test test-readers torture torture-kafka torture-snapshot \
  bench bench-kafka bench-mysql bench-snapshot lint format docs install uninstall deb clean FORCE
all: libraries $(BUILD)/sidestream ## builds build/release/sidestream

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

libraries:
	@pkg-config --exists $(PKGS) || { echo "libraries missing: run scripts/install.sh build"; \
	  pkg-config --print-errors --exists $(PKGS); exit 1; }

# --- rules ----------------------------------------------------------------------------------------
$(BUILD)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(ALL_CFLAGS) $(LDLIBS) $(MODULES)' | cmp -s - $@ || \
	  echo '$(CC) $(ALL_CFLAGS) $(LDLIBS) $(MODULES)' >$@

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/sidestream: $(BUILD)/core/cli/main.o $(OBJ)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

TESTS := $(UNIT) $(LIVE) $(wildcard tests/compat/*.c)
$(TESTS:%.c=$(BUILD)/%): $(BUILD)/%: $(BUILD)/%.o $(OBJ) $(TESTO)
	$(CC) -o $@ $^ -lcmocka $(LDLIBS)

# Fuzz targets need clang: CC=clang-14 SANITIZE=fuzzer-no-link,address,undefined BUILD=build/fuzz
$(FUZZ:%.c=$(BUILD)/%): $(BUILD)/%: $(BUILD)/%.o $(OBJ)
	$(CC) -o $@ $^ -fsanitize=fuzzer $(LDLIBS)

# Beside which the Kafka sink is measured; and what times its commits.
$(BUILD)/bench/produce: $(BUILD)/bench/produce.o
	$(CC) $(LDFLAGS) -o $@ $^ -lrdkafka

$(BUILD)/bench/commits.so: bench/commits.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -shared -fPIC -o $@ $<

$(BUILD)/bench/binlog_raw: $(BUILD)/bench/binlog_raw.o
	$(CC) $(LDFLAGS) -o $@ $^ -lmariadb

$(BUILD)/bench/mysql_decode: $(BUILD)/bench/mysql_decode.o $(OBJ)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# --- what people run ------------------------------------------------------------------------------
demo: ## installs, builds, and shows the main job on a throw-away PostgreSQL
	demo/demo.sh

demo-mysql: ## the same with a throw-away MariaDB
	demo/demo.sh mysql

demo-kafka: ## the same with a throw-away Kafka broker, read by a stock Python consumer
	demo/demo-kafka.sh

test: ## installs and runs every test; ends with "N passed, N failed, N skipped"
	scripts/test.sh

test-readers: all ## every value read by DuckDB, Spark, Avro for Java ...; installs 0.7 GB into .cache/readers
	scripts/test-readers.sh

unit: $(UNIT:%.c=$(BUILD)/%) ## unit tests (ONLY="avro_*" picks, SANITIZE=...)
	@rc=0; for t in $^; do echo "# $$t"; $$t || rc=1; done; exit $$rc

unit-build: $(UNIT:%.c=$(BUILD)/%)
live: $(LIVE:%.c=$(BUILD)/%)

fuzz-build:
	$(MAKE) -s CC=clang-14 SANITIZE=fuzzer-no-link,address,undefined BUILD=build/fuzz $(FUZZ:%.c=build/fuzz/%)

fuzz: fuzz-build ## every fuzz target for SECONDS_EACH (600) seconds
	scripts/fuzz.sh $(or $(SECONDS_EACH),600)

torture: all ## kills, faults and random workloads: ROUNDS (100) or MINUTES or KILLS, SEED, VERSIONS
	MINUTES="$(MINUTES)" KILLS="$(KILLS)" VERSIONS="$(VERSIONS)" scripts/torture.sh $(or $(ROUNDS),100) $(SEED)

torture-kafka: all ## the same with a real broker: KILLS (100) and FAULTS (60) of its network, broker kills, SEED
	SINK=kafka MINUTES="$(MINUTES)" KILLS="$(KILLS)" FAULTS="$(FAULTS)" VERSIONS="$(VERSIONS)" \
	  scripts/torture.sh $(or $(ROUNDS),100) $(SEED)

torture-snapshot: all ## random histories of copies, kills, commands, per sink: HISTORIES (100), SINKS (lake kafka), SEED, FIRST
	COPIES=$(or $(HISTORIES),100) SINKS="$(SINKS)" FIRST="$(FIRST)" VERSIONS="$(VERSIONS)" scripts/torture.sh 0 $(SEED)

bench: all ## beside pg_recvlogical on the same slot; writes docs/benchmarks.md
	scripts/install.sh build test && .cache/venv/bin/python bench/run.py $(BENCH)

bench-kafka: all $(BUILD)/bench/produce $(BUILD)/bench/commits.so ## PostgreSQL to Kafka beside a bare producer of the same bytes; a broker on the same machine
	scripts/install.sh build test && .cache/venv/bin/python bench/kafka.py $(BENCH)

bench-snapshot: all ## copies of tables beside binary COPY of the same; null, lake, Kafka; writes docs/benchmarks-snapshot.md
	scripts/install.sh build test && .cache/venv/bin/python bench/snapshot.py $(BENCH)

bench-mysql: all $(BUILD)/bench/binlog_raw $(BUILD)/bench/mysql_decode ## the binlog of MariaDB and MySQL beside a bare packet loop; writes docs/benchmarks-mysql.md
	scripts/install.sh build test && .cache/venv/bin/python bench/mysql.py $(BENCH)

lint: ## format, headers alone, include direction, cppcheck, clang-tidy
	scripts/check-format.sh && scripts/check-headers.sh && scripts/check-includes.sh && \
	scripts/cppcheck.sh && scripts/tidy.sh && scripts/check-shell.sh

format: ## clang-format-14 over the tree
	clang-format-14 -i $$(git ls-files '*.c' '*.h')

docs: all ## docs/configuration.md from the option tables
	$(BUILD)/sidestream docs configuration >docs/configuration.md

$(BUILD)/sidestream.1: $(BUILD)/sidestream packaging/manpage.sh
	packaging/manpage.sh $< >$@.tmp && mv $@.tmp $@

# Files of the installed tree, but for the two that are made: where they go, whence they come.
DOCDIR := $(PREFIX)/share/doc/sidestream
DOCS   := README.md $(wildcard docs/*.md) packaging/copyright packaging/alerts.yml packaging/grafana.json

install: all $(BUILD)/sidestream.1 ## program, unit, man page, docs, example; PREFIX (/usr/local), SYSCONFDIR, DESTDIR
	install -D -m 755 $(BUILD)/sidestream $(DESTDIR)$(PREFIX)/bin/sidestream
	install -D -m 644 $(BUILD)/sidestream.1 $(DESTDIR)$(PREFIX)/share/man/man1/sidestream.1
	install -d $(DESTDIR)$(DOCDIR) $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 644 $(DOCS) $(DESTDIR)$(DOCDIR)
	install -D -m 644 packaging/example.yaml $(DESTDIR)$(SYSCONFDIR)/sidestream/example.yaml
	sed 's:/usr/bin/:$(PREFIX)/bin/:; s:/etc/sidestream:$(SYSCONFDIR)/sidestream:; s:/usr/share/doc/sidestream:$(DOCDIR):' \
	  packaging/sidestream@.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/sidestream@.service

uninstall: ## what install put there; configurations and data stay
	rm -f $(DESTDIR)$(PREFIX)/bin/sidestream $(DESTDIR)$(PREFIX)/share/man/man1/sidestream.1 \
	  $(DESTDIR)$(PREFIX)/lib/systemd/system/sidestream@.service $(DESTDIR)$(SYSCONFDIR)/sidestream/example.yaml
	rm -rf $(DESTDIR)$(DOCDIR)
	-rmdir --ignore-fail-on-non-empty $(DESTDIR)$(SYSCONFDIR)/sidestream

deb: ## build/deb/sidestream_VERSION_ARCH.deb, for the Debian it is built on
	packaging/deb.sh $(VERSION)

clean: ## removes build/
	rm -rf build

.SECONDARY:
-include $(OBJ:.o=.d) $(TESTO:.o=.d) $(TESTS:%.c=$(BUILD)/%.d) $(FUZZ:%.c=$(BUILD)/%.d) $(BUILD)/core/cli/main.d
