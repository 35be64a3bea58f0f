/*
 * Runs short user-mode instruction sequences on this machine's processor and reports what they did.
 *
 * stdin:  SCRATCH_SIZE bytes (contents of the scratch memory before each sequence), then cases:
 *           u32 length, u8 code[CODE_MAX], u64 registers[16] (encoding order), u64 rflags, u8 fxsave[512]
 * stdout: per case
 *           u64 registers[16], u64 rip, u64 rflags, u32 signal, u32 trap number, u8 fxsave[512], u32 n,
 *           then n times u16 offset, u8 value (changed scratch bytes)
 *
 * With the argument 32 the sequences are 32-bit code, entered by a far jump to the kernel's compatibility-mode code segment.
 * A sequence ends in INT3 or in a fault: the signal handler notes the registers and leads back to run_case.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE_BASE 0x10000000UL
#define SCRATCH_BASE 0x20800000UL
#define SCRATCH_SIZE 4096
#define CODE_MAX 128
/* Linux's user segments: 32-bit code, data; the 64-bit code segment is the one this program runs in */
#ifndef USER32_CS
#define USER32_CS 0x23
#endif
#define USER_DS 0x2b

struct __attribute__((packed)) input {
  uint32_t length;
  uint8_t code[CODE_MAX];
  uint64_t regs[16];
  uint64_t rflags;
  uint8_t fxsave[512];
};
struct __attribute__((packed)) output {
  uint64_t regs[16];
  uint64_t rip;
  uint64_t rflags;
  uint32_t signal;
  uint32_t trap;
  uint8_t fxsave[512];
  uint32_t changed;
};

uint64_t guest[18]; /* registers, unused, rflags */
uint8_t guest_fx[512] __attribute__((aligned(16)));
static uint8_t host_fx[512] __attribute__((aligned(16)));
uint64_t host_rsp;
struct __attribute__((packed, aligned(8))) {
  uint32_t offset;
  uint16_t selector;
} far_target = {CODE_BASE, 0};
static uint16_t user_cs;
void run_case(void);
extern char back[];
static struct output result;
static volatile int running;

__asm__(
    ".globl run_case\n"
    "run_case:\n"
    "  push %rbx\n  push %rbp\n  push %r12\n  push %r13\n  push %r14\n  push %r15\n"
    "  mov %rsp, host_rsp(%rip)\n"
    "  fxrstor64 guest_fx(%rip)\n"
    "  pushq guest+136(%rip)\n"
    "  popfq\n"
    "  mov guest+0(%rip), %rax\n  mov guest+8(%rip), %rcx\n  mov guest+16(%rip), %rdx\n  mov guest+24(%rip), %rbx\n"
    "  mov guest+32(%rip), %rsp\n  mov guest+40(%rip), %rbp\n  mov guest+48(%rip), %rsi\n  mov guest+56(%rip), %rdi\n"
    "  mov guest+64(%rip), %r8\n  mov guest+72(%rip), %r9\n  mov guest+80(%rip), %r10\n  mov guest+88(%rip), %r11\n"
    "  mov guest+96(%rip), %r12\n  mov guest+104(%rip), %r13\n  mov guest+112(%rip), %r14\n  mov guest+120(%rip), %r15\n"
    "  ljmpl *far_target(%rip)\n"
    ".globl back\n"
    "back:\n"
    "  pop %r15\n  pop %r14\n  pop %r13\n  pop %r12\n  pop %rbp\n  pop %rbx\n"
    "  ret\n");

static void on_signal(int number, siginfo_t *info, void *context) {
  static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
  greg_t *g = m->gregs;
  (void)info;
  /* not of a sequence: a segment that this kernel does not have */
  if (!running) _exit(4);
  /* the kernel leaves alignment checks on */
  __asm__ volatile("sub $128, %%rsp\n pushfq\n andl $~0x40000, (%%rsp)\n popfq\n add $128, %%rsp" ::: "memory", "cc");
  memcpy(result.fxsave, m->fpregs, sizeof result.fxsave);
  /* the bytes after the registers tell the kernel how large its own frame is */
  memcpy(m->fpregs, host_fx, 416);
  for (int i = 0; i < 16; i++) result.regs[i] = (uint64_t)g[order[i]];
  result.rip = (uint64_t)g[REG_RIP];
  result.rflags = (uint64_t)g[REG_EFL];
  result.signal = (uint32_t)number;
  result.trap = (uint32_t)g[REG_TRAPNO];
  /* CS is the low word */
  g[REG_CSGSFS] = (g[REG_CSGSFS] & ~0xffffL) | user_cs;
  g[REG_RIP] = (greg_t)(uintptr_t)back;
  g[REG_RSP] = (greg_t)host_rsp;
  g[REG_EFL] = 0x202;
}

static int refuse(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  return 2;
}

static int read_all(void *to, size_t n) {
  return fread(to, 1, n, stdin) == n;
}

int main(int argc, char **argv) {
  static uint8_t before[SCRATCH_SIZE];
  static const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS};
  int fd = memfd_create("code", 0);
  if (fd < 0 || ftruncate(fd, 4096) != 0) return refuse("memfd_create");
  uint8_t *writable = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  void *code = mmap((void *)CODE_BASE, 4096, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0);
  uint8_t *scratch = mmap((void *)SCRATCH_BASE, SCRATCH_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (writable == MAP_FAILED || code == MAP_FAILED || scratch == MAP_FAILED) return refuse("mmap");
  __asm__("mov %%cs, %0" : "=r"(user_cs));
  far_target.selector = user_cs;
  stack_t alternate = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
  sigaltstack(&alternate, 0);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    action.sa_sigaction = on_signal;
    sigaction(signals[i], &action, 0);
  }
  if (argc > 1 && strcmp(argv[1], "32") == 0) {
    far_target.selector = USER32_CS;
    /* 64-bit code runs with null data segments */
    __asm__ volatile("mov %0, %%ds\n mov %0, %%es" : : "r"(USER_DS));
  }
  if (!read_all(before, sizeof before)) return 2;
  __asm__ volatile("fxsave64 %0" : "=m"(host_fx));
  struct input in;
  while (read_all(&in, sizeof in)) {
    memset(writable, 0xcc, 4096);
    memcpy(writable, in.code, in.length);
    memcpy(scratch, before, SCRATCH_SIZE);
    memcpy(guest, in.regs, sizeof in.regs);
    guest[17] = in.rflags;
    memcpy(guest_fx, in.fxsave, sizeof guest_fx);
    running = 1;
    run_case();
    running = 0;
    result.changed = 0;
    for (int i = 0; i < SCRATCH_SIZE; i++) result.changed += scratch[i] != before[i];
    fwrite(&result, sizeof result, 1, stdout);
    for (int i = 0; i < SCRATCH_SIZE; i++) {
      if (scratch[i] == before[i]) continue;
      uint8_t record[3] = {(uint8_t)i, (uint8_t)(i >> 8), scratch[i]};
      fwrite(record, sizeof record, 1, stdout);
    }
  }
  return 0;
}
