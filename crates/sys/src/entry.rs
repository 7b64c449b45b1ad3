//! The first instructions of the binary, before the C library has started.
//!
//! CVE-2019-5736: what enters a container runs from a file that the container cannot write. `hull oci` therefore becomes itself again
//! from a detached read-only mount of its own file. To start the C library takes some fifty `cpuid` instructions, each a trap to the
//! hypervisor: half a millisecond in a virtual machine. So that it is not started twice, the step is taken here, with five system calls.

#![cfg(target_arch = "x86_64")]

unsafe extern "C" {
    fn _start();
}

/// Where the binary begins, if it is linked with `--entry=hull_entry`.
///
/// `hull oci …`, or any name that ends in `-oci` or `runc`, becomes itself from a read-only mount, unless its file is on one already.
/// Whatever fails here is left to the caller of the later, slower way. Then, and for all other words, the C library starts as ever.
// SAFETY: the kernel enters with argc, argv and envp on the stack. Nothing of the C library is ready, so nothing of it is used:
// system calls alone, on constants and 128 bytes below the stack. Registers and stack are as they were when `_start` gets them.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn hull_entry() {
    core::arch::naked_asm!(
        "mov r12, rsp",
        "cmp qword ptr [r12], 1",
        "jb 9f",
        // The end of argv[0].
        "mov rdi, [r12 + 8]",
        "mov rax, rdi",
        "2: cmp byte ptr [rax], 0",
        "je 3f",
        "inc rax",
        "jmp 2b",
        "3: mov rcx, rax",
        "sub rcx, rdi",
        "cmp rcx, 4",
        "jb 4f",
        "mov ecx, [rax - 4]",
        "cmp ecx, {dash_oci}",
        "je 5f",
        "cmp ecx, {runc}",
        "je 5f",
        // argv[1]; at least eight bytes follow the last word.
        "4: cmp qword ptr [r12], 2",
        "jb 9f",
        "mov rax, [r12 + 16]",
        "cmp dword ptr [rax], {oci}",
        "jne 9f",
        // statfs: is it read-only already?
        "5: sub rsp, 128",
        "mov eax, 137",
        "lea rdi, [rip + 20f]",
        "mov rsi, rsp",
        "syscall",
        "test rax, rax",
        "jnz 9f",
        "test byte ptr [rsp + 80], 1",
        "jnz 9f",
        // open_tree(AT_FDCWD, own, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
        "mov eax, 428",
        "mov rdi, -100",
        "lea rsi, [rip + 20f]",
        "mov edx, 0x80001",
        "syscall",
        "test rax, rax",
        "js 9f",
        "mov r13, rax",
        // mount_setattr(mount, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY)
        "mov qword ptr [rsp], 1",
        "mov qword ptr [rsp + 8], 0",
        "mov qword ptr [rsp + 16], 0",
        "mov qword ptr [rsp + 24], 0",
        "mov eax, 442",
        "mov rdi, r13",
        "lea rsi, [rip + 21f]",
        "mov edx, 0x1000",
        "mov r10, rsp",
        "mov r8d, 32",
        "syscall",
        "test rax, rax",
        "jnz 8f",
        // execveat(mount, "", argv, envp, AT_EMPTY_PATH)
        "mov eax, 322",
        "mov rdi, r13",
        "lea rsi, [rip + 21f]",
        "lea rdx, [r12 + 8]",
        "mov r10, [r12]",
        "lea r10, [r12 + r10 * 8 + 16]",
        "mov r8d, 0x1000",
        "syscall",
        "8: mov eax, 3",
        "mov rdi, r13",
        "syscall",
        "9: mov rsp, r12",
        "xor edx, edx",
        "xor ebp, ebp",
        "jmp {start}",
        "20: .asciz \"/proc/self/exe\"",
        "21: .byte 0",
        dash_oci = const u32::from_le_bytes(*b"-oci"),
        runc = const u32::from_le_bytes(*b"runc"),
        oci = const u32::from_le_bytes(*b"oci\0"),
        start = sym _start,
    );
}
