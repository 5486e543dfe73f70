/* user.c - the second file of a program: the API without the implementation */
#include "../../autoopt.h"
#ifdef AUTOOPT_IMPLEMENTED
#error "the implementation came without being asked for"
#endif
const char *user(void);
const char *user(void) { return aopt_status_name(AOPT_E_SHAPE); }
