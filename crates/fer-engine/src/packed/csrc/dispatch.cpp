// The choice of kernels that this processor can run. Compiled without any instruction-set flag: this code runs
// before it is known what the processor has.
#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

extern const FerKernels fer_portable_f32;
#if defined(FER_X86)
extern const FerKernels fer_avx2_f32, fer_avx512_f32, fer_bf16_bf16, fer_vnni_int8;
#endif
#if defined(FER_AMX_TILES)
extern const FerKernels fer_amx_bf16, fer_amx_int8;
#endif

namespace {

#if defined(FER_X86)
struct Processor {
  bool avx2 = false, avx512 = false, bf16 = false, vnni = false, amx_bf16 = false, amx_int8 = false;

  Processor() {
    __builtin_cpu_init();
    avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
    vnni = avx512 && __builtin_cpu_supports("avx512vnni");
    // CPUID leaf 7, EDX: bit 24 is AMX-TILE, bit 22 AMX-BF16, bit 25 AMX-INT8. The tile kernels finish a layer with
    // AVX-512 BF16 and VNNI, so AMX is offered only along with both.
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    if (!bf16 || !vnni || __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return;
    const bool tiles = (edx & (1u << 24)) != 0 && tiles_permitted();
    amx_bf16 = tiles && (edx & (1u << 22)) != 0;
    amx_int8 = tiles && (edx & (1u << 25)) != 0;
  }

  // The 8 KiB of tile registers are off until the process asks for them (Linux 5.16): without this permission the
  // first tile instruction raises SIGILL. It holds for all threads of the process. The call is cheap and may be
  // repeated; containers and old kernels refuse it, and then AMX is not offered.
  static bool tiles_permitted() {
#if defined(__linux__) && defined(SYS_arch_prctl)
    constexpr int ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18;
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
#else
    return false;
#endif
  }
};
#endif

}  // namespace

extern "C" const FerKernels *fer_kernels(uint32_t isa, uint32_t element) {
  if (isa == FER_PORTABLE && element == FER_F32) return &fer_portable_f32;
#if defined(FER_X86)
  const Processor cpu;
  if (isa == FER_AVX2 && element == FER_F32 && cpu.avx2) return &fer_avx2_f32;
  if (isa == FER_AVX512 && element == FER_F32 && cpu.avx512) return &fer_avx512_f32;
  if (isa == FER_AVX512 && element == FER_BF16 && cpu.bf16) return &fer_bf16_bf16;
  if (isa == FER_AVX512 && element == FER_INT8 && cpu.vnni) return &fer_vnni_int8;
#if defined(FER_AMX_TILES)
  if (isa == FER_AMX && element == FER_BF16 && cpu.amx_bf16) return &fer_amx_bf16;
  if (isa == FER_AMX && element == FER_INT8 && cpu.amx_int8) return &fer_amx_int8;
#endif
#endif
  return nullptr;
}
