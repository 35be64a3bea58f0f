/** CALL_FUNCTION_VECTOR of Linux (arch/x86/include/asm/irq_vectors.h): how kvm_make_all_cpus_request interrupts CPUs that run a guest. */
export const KICK_VECTOR = 0xfb;
/** The value of the pending-interrupt register slot that marks a physical interrupt as pending (hw/vmx/boundary). */
export const INTERRUPT_WAITS = 0x100;
