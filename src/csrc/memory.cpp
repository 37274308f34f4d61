// What the C library's allocator keeps of freed memory. Nothing is done where the C library is another one.
#include <cstdlib>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

extern "C" {

// Keeps freed memory for what comes next, instead of handing tens of megabytes back to the system and having them zeroed
// again, step after step.
void fer_keep_memory(void) {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_TOP_PAD, 256 << 20);
#endif
}

// Hands what is free in every thread's heap back to the system.
void fer_give_memory_back(void) {
#if defined(__GLIBC__)
  malloc_trim(0);
#endif
}

}
