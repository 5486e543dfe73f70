/* twice.c - the header before, then again with the implementation, as happens when another header includes it */
#include "../../autoopt.h"
#define AUTOOPT_IMPLEMENTATION
#include "../../autoopt.h"
#include "../../autoopt.h"
#include "main.h"
