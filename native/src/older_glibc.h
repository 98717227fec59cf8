// Included before every source of the shim: keeps it usable with the glibc and the libstdc++ that libtorch itself
// needs, whatever the compiler's own are. older_glibc.cpp has the other half, and build-native.sh checks the result.
#pragma once

#ifdef __linux__
#include <features.h>
#endif

#ifdef __GLIBC__
#if defined(__x86_64__)
#define PSC_FIRST_GLIBC "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define PSC_FIRST_GLIBC "GLIBC_2.17"
#endif

// These functions have the same results in all their versions: glibc 2.32 and 2.34 moved them into libc.so.6, and 2.29
// took the handler of errors, which no program has any more, out of log. Each glibc still has the first version.
#ifdef PSC_FIRST_GLIBC
__asm__(".symver pthread_once, pthread_once@" PSC_FIRST_GLIBC);
__asm__(".symver pthread_getattr_np, pthread_getattr_np@" PSC_FIRST_GLIBC);
__asm__(".symver pthread_attr_getstack, pthread_attr_getstack@" PSC_FIRST_GLIBC);
__asm__(".symver log, log@" PSC_FIRST_GLIBC);
__asm__(".symver dlopen, dlopen@" PSC_FIRST_GLIBC);
__asm__(".symver dlsym, dlsym@" PSC_FIRST_GLIBC);
#endif
#endif
