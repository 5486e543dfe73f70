/* test_ops_plain.c - the same ops without GNU vectors */
#define AOPT_NO_VECTORS
#include "test_ops.c"
