/* target.h - what the harness must know about the model: the Wan 2.2 video VAE decoder */
#ifndef AUTOOPT_TARGET_H
#define AUTOOPT_TARGET_H
#include "../autoopt.h"
#endif
