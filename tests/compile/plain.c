/* plain.c - one file, the shortest form; also compiled as C++ and as CUDA */
#define AUTOOPT_IMPLEMENTATION
#include "../../autoopt.h"
#include "main.h"
