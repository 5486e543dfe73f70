/* static_user.c - a second private copy of everything (AOPT_STATIC) in one program */
#define AUTOOPT_IMPLEMENTATION
#include "../../autoopt.h"
#ifndef AUTOOPT_IMPLEMENTED
#error "AUTOOPT_IMPLEMENTATION did not bring in the implementation"
#endif
const char *user(void);
const char *user(void) { return aopt_status_name(AOPT_E_SHAPE); }
