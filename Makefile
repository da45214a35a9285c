# sidestream. `make help` lists the targets. One Makefile, read from top to bottom.
# Variables to set on the command line: BUILD, MODULES, ONLY, SANITIZE, CC, WERROR=0, PREFIX, DESTDIR.

VERSION  := 0.1.0
CC       := gcc
PREFIX   ?= /usr/local
SANITIZE ?=
WERROR   ?= 1
BUILD    ?= build/$(if $(SANITIZE),$(subst $(comma),-,$(SANITIZE)),release)
comma    := ,

MODULES ?= $(sort $(patsubst %/,%,$(dir $(wildcard core/*/*.c connectors/*/*.c))))
PKGS    := libpq jansson yaml-0.1 libdeflate libzstd sqlite3 libcrypto avro-c

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
  -Wold-style-definition -Wvla -Wwrite-strings -Wformat=2 -Wpointer-arith -fno-common \
  $(if $(filter 1,$(WERROR)),-Werror)
OPT    := $(if $(SANITIZE),-O1 -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=undefined,-O2)
CFLAGS ?= -g $(OPT)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
ALL_CFLAGS  = -std=gnu11 $(WARN) $(CFLAGS) -Iinclude -Icore -DCDC_VERSION='"$(VERSION)"' $(PKG_CFLAGS) -MMD -MP
LDLIBS      = $(PKG_LIBS) -pthread -lm $(if $(SANITIZE),-fsanitize=$(SANITIZE))

SRC  := $(filter-out core/cli/main.c,$(foreach m,$(MODULES),$(wildcard $(m)/*.c)))
OBJ  := $(SRC:%.c=$(BUILD)/%.o)
FAKE := $(wildcard tests/fakes/*.c)
ONLY ?= *
UNIT := $(sort $(foreach p,$(ONLY),$(wildcard tests/unit/test_$(p).c)))

.PHONY: all help unit clean
all: $(BUILD)/sidestream

help: ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 22

# Flags that change make everything again.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(ALL_CFLAGS) $(LDLIBS)' | cmp -s - $@ || echo '$(CC) $(ALL_CFLAGS) $(LDLIBS)' >$@
FORCE:

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -c $< -o $@

$(BUILD)/sidestream: $(BUILD)/core/cli/main.o $(OBJ)
	$(CC) -o $@ $^ $(LDLIBS)

$(BUILD)/tests/%: $(BUILD)/tests/%.o $(OBJ) $(FAKE:%.c=$(BUILD)/%.o)
	$(CC) -o $@ $^ -lcmocka $(LDLIBS)

unit: $(UNIT:%.c=$(BUILD)/%) ## unit tests (ONLY="name_*" picks)
	@rc=0; for t in $^; do echo "# $$t"; CMOCKA_MESSAGE_OUTPUT=STDOUT $$t || rc=1; done; exit $$rc

clean: ## removes build/
	rm -rf build

.SECONDARY:
-include $(OBJ:.o=.d)
