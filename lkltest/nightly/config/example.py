# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest nightly --init`: a commented configuration that runs as it is."""

EXAMPLE = """\
# A nightly run of lkltest:  lkltest nightly THIS-FILE
# Paths are relative to this file.

[night]
name = "nightly"
directory = "nightly"               # nights/ID/ with JUnit, JSON and reports; the lock
history = "nightly/history.sqlite"  # every point of every night
timeout = 180                       # seconds for one program
# limit = 780                       # seconds for a cell's whole process (4 x timeout + 60)
# repeat = 1                        # how many times each cell is run
rerun = 3                           # a new failure is run again: a break, or flaky?
# machine = "pool"                  # times are compared under this name; default: the node's
# keep = "90d"                      # older nights are forgotten, with their folders
# notify = "sh told.sh"             # run when there is news, with the Markdown as its input
# metrics = "lkltest.prom"          # counts and times for Prometheus
# known = "known.toml"              # known failures, see below

# What makes the night fail (exit status 1). There are: new, vanished, error, slower, skipped,
# still, still-slower, flaky, outdated, fixed, faster, added, known. An expired known failure always
# does.
fail_on = ["new", "vanished", "error"]

# The builds: directories such as tools/lkl of a kernel tree. One without a path is the default
# build of each host: the bundled kernel.
[builds.bundled]

# [builds.mainline]
# path = "/home/me/linux/tools/lkl"
# commit = "v6.12-rc1"              # default: what git says in the kernel's tree
# make = "make -C tools/lkl"        # builds it in the top of its tree: for nightly --bisect
# coverage = true                   # it was made for gcov: docs/coverage-of-kernels.md

# Every build x every host x every suite and variant is a cell.
[matrix]
builds = ["bundled"]
hosts = ["native"]                  # "wine", "qemu", "uml": `lkltest doctor` says which work here
                                    # "ssh:board": see docs/machines.md
suites = ["boot", "disk", "net"]    # "disk" is all of its variants, "disk[ext4]" is one; "my/"

# Cells that are left out. Patterns are a shell's, but [ and ] stand for themselves.
# [[exclude]]
# host = "wine"
# suite = "net[*]"

# Cells that are run differently.
# [[override]]
# host = "qemu"
# suite = "disk"
# timeout = 600
# repeat = 3
# environment = { LKLTEST_TCP = "1048576" }
# options = ["--lkl-qemu-accel=tcg"]

# A file of known failures holds tables such as this one:
#   [[known]]
#   id = "disk[xfs]@uml/fsync"      # suite[variant]@host/point, or with the build: @uml#mainline/
#   reason = "xfs needs a log"
#   link = "https://example.org/bug/1"
#   expires = 2030-12-31
#   slower = true                   # a slow-down, not a failure
"""
