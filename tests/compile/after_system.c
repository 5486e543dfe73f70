/* after_system.c - system headers come first, so a strict -std=c11 without _GNU_SOURCE would hide POSIX */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#define AUTOOPT_IMPLEMENTATION
#include "../../autoopt.h"
#include "main.h"
