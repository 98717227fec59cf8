// What newer versions of glibc and libstdc++ define and older ones lack. These definitions are local to the shim.
#include <new>

#ifdef __GLIBC__
// Since glibc 2.32: whether libstdc++ may count references without atomic operations. Never here: libtorch has threads.
extern "C" char __libc_single_threaded;
char __libc_single_threaded = 0;
#endif

#ifdef __GLIBCXX__
namespace std {
// Since libstdc++ 3.4.29 (GCC 11): called by the allocators of its headers.
[[noreturn]] void __throw_bad_array_new_length();
void __throw_bad_array_new_length() { throw bad_array_new_length(); }
}  // namespace std
#endif
