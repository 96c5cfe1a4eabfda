/*
 * libuvsim: the simulated ultravisors of IBM Z (Secure Execution) and POWER (Protected Execution Facility) for C.
 *
 * Functions return UVSIM_OK or a UVSIM_E_ code, with a text behind uvsim_last_error(); those that make a text return its
 * length. All may be called from any thread. Numbers are in the byte order of the caller's CPU; control blocks and the
 * caller's memory are big endian where the machine's are. Nothing here is a real Ultravisor: no verifier of real machines
 * accepts its evidence.
 *
 * Generated from the library's sources: UVSIM_WRITE_HEADER=1 cargo test -p uv-c --test c_header
 */

#ifndef UVSIM_H
#define UVSIM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/**
 * Version of this interface. Configurations carry it; a library of another version refuses them.
 */
#define UVSIM_ABI_VERSION 1

/**
 * Done.
 */
#define UVSIM_OK 0

/**
 * A pointer that must not be NULL is, a number is none of those that the header names, or a length does not fit.
 */
#define UVSIM_E_ARGUMENT (-1)

/**
 * The handle is not one, is closed, or is of another kind.
 */
#define UVSIM_E_HANDLE (-2)

/**
 * The configuration is of another version of the interface.
 */
#define UVSIM_E_VERSION (-3)

/**
 * A key cannot be read. The text says why.
 */
#define UVSIM_E_KEY (-4)

/**
 * There is nothing of that name: no configuration with the handle, no SE header of an ordinary guest.
 */
#define UVSIM_E_NOT_FOUND (-5)

/**
 * The caller's memory has nothing there.
 */
#define UVSIM_E_MEMORY (-6)

/**
 * A defect of the library. What the call was about is in no known state; close it.
 */
#define UVSIM_E_PANIC (-7)

/**
 * The CPU goes on behind the instruction, with the condition code `cc`.
 */
#define UVSIM_Z_DONE 0

/**
 * A program interruption on the CPU that issued the instruction: `program`, `teid`.
 */
#define UVSIM_Z_PROGRAM 1

/**
 * A guest's call: a program interruption on the host's CPU, which serves it and lets the guest issue the call again.
 */
#define UVSIM_Z_HOST_PROGRAM 2

/**
 * A guest's call: interception 108; the host unpins the page that the block names and lets the guest issue the call again.
 */
#define UVSIM_Z_INTERCEPT 3

/**
 * The address of a frame in CONV_FROM_SEC_STOR, DESTR_SEC_STOR and PIN_PAGE_SHARED is host virtual, not absolute.
 */
#define UVSIM_Z_FRAMES_HOME_VIRTUAL 1

/**
 * An ASCE without a map (uvsim_z_attach) designates translation tables in the machine's memory.
 */
#define UVSIM_Z_WALK_TABLES 2

/**
 * `config_uid` is valid: the next guest gets it. Else it is random.
 */
#define UVSIM_Z_CONFIG_UID 4

/**
 * A page is mapped by a page-table entry: 4 KiB.
 */
#define UVSIM_Z_PAGE 0

/**
 * By a segment-table entry: 1 MiB.
 */
#define UVSIM_Z_SEGMENT 1

/**
 * By a region-third-table entry: 2 GiB.
 */
#define UVSIM_Z_REGION 2

/**
 * The guest gets the program interruption `program`.
 */
#define UVSIM_Z_DIAG308_PROGRAM 0

/**
 * GR r1+1 gets `response`; the guest goes on.
 */
#define UVSIM_Z_DIAG308_RESPONSE 1

/**
 * The caller stops all CPUs, resets devices, and calls uvsim_z_reset() with `request`.
 */
#define UVSIM_Z_DIAG308_RESET 2

/**
 * Subcode 0: modified clear.
 */
#define UVSIM_Z_RESET_MODIFIED_CLEAR 0

/**
 * Subcode 1: load normal.
 */
#define UVSIM_Z_RESET_LOAD_NORMAL 1

/**
 * Subcode 3: re-IPL; a protected guest becomes an ordinary one.
 */
#define UVSIM_Z_RESET_RE_IPL 3

/**
 * Subcode 10: start as a protected guest.
 */
#define UVSIM_Z_RESET_PROTECTED 10

/**
 * The behaviour that the documents of the Protected Execution Facility promise.
 */
#define UVSIM_POWER_DOCUMENTED 0

/**
 * The behaviour of the published firmware.
 */
#define UVSIM_POWER_FIRMWARE 1

/**
 * How many special registers the ultravisor masks.
 */
#define UVSIM_POWER_SPRS 29

/**
 * A machine or a guest. Never 0. A number of something that was closed is refused, not followed.
 */
typedef uint64_t uvsim_handle;

/**
 * What a machine is made of. uvsim_z_config_init() fills it.
 */
struct uvsim_z_config {
  /**
   * UVSIM_ABI_VERSION.
   */
  uint32_t version;
  /**
   * 15, 16 or 17: z15, z16, z17.
   */
  uint32_t generation;
  /**
   * UVSIM_Z_ flags.
   */
  uint32_t flags;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Everything random comes from this number, so equal machines do equal things.
   */
  uint64_t seed;
  /**
   * The machine's host key as PEM text (PKCS#8 or SEC1, P-521), not ended by a NUL. NULL: one made from the seed.
   */
  const char *host_key;
  /**
   * Bytes of it.
   */
  size_t host_key_len;
  /**
   * The backup host key. NULL: none.
   */
  const char *backup_key;
  /**
   * Bytes of it.
   */
  size_t backup_key_len;
  /**
   * Unique id of the next guest.
   */
  uint8_t config_uid[16];
};

/**
 * The caller's memory, from address 0 on: what is host memory of a machine, or the storage of an emulated guest.
 *
 * Either `base` is not NULL, and the memory is the `size` bytes there; or `base` is NULL, and `read` and `write` reach it.
 * Either way it may be used by other threads and devices at the same time, and has to stay until the handle that it was
 * given for is closed. Its address must be a multiple of 8.
 */
struct uvsim_memory {
  /**
   * First byte, or NULL.
   */
  uint8_t *base;
  /**
   * Bytes. A machine for a host needs more than 2 GiB, of which only what is used has to be there.
   */
  uint64_t size;
  /**
   * Handed to the callbacks.
   */
  void *context;
  /**
   * Copies `len` bytes at `address` to `into`. Returns 0; anything else when there is no memory in the range.
   * Called from any thread, from several at once.
   */
  int32_t (*read)(void *context, uint64_t address, void *into, uint64_t len);
  /**
   * Copies `len` bytes from `from` to `address`. Returns 0; anything else, and nothing was written, when there is no
   * memory in the range. Called from any thread, from several at once.
   */
  int32_t (*write)(void *context, uint64_t address, const void *from, uint64_t len);
  /**
   * Whether all of `len` bytes at `address` can be read and written: returns 0 when they can. NULL: what lies below
   * `size` can.
   */
  int32_t (*check)(void *context, uint64_t address, uint64_t len);
};

/**
 * Fields of a UVC instruction beside its operand. A NULL pointer in its place is all zeros: a correct UVC in supervisor
 * state.
 */
struct uvsim_z_instruction {
  /**
   * Extra field, 0 in a correct one.
   */
  uint8_t i3;
  /**
   * Extra field, 0 in a correct one.
   */
  uint8_t i4;
  /**
   * Not 0: the CPU is in problem state.
   */
  uint8_t problem_state;
  /**
   * 0.
   */
  uint8_t reserved;
};

/**
 * What became of a UVC.
 */
struct uvsim_z_answer {
  /**
   * UVSIM_Z_DONE, UVSIM_Z_PROGRAM, UVSIM_Z_HOST_PROGRAM or UVSIM_Z_INTERCEPT.
   */
  uint32_t kind;
  /**
   * Condition code: 0 done, 1 refused (rc and rrc are in the block), 2 busy, 3 partially done.
   */
  uint32_t cc;
  /**
   * Program interruption code.
   */
  uint32_t program;
  /**
   * Not 0: `teid` is valid.
   */
  uint32_t has_teid;
  /**
   * Translation-exception identification.
   */
  uint64_t teid;
};

/**
 * Where a page lies.
 */
struct uvsim_z_mapping {
  /**
   * Host absolute address of the 4 KiB frame that holds the page.
   */
  uint64_t frame;
  /**
   * Not 0: it may be stored to.
   */
  uint32_t writable;
  /**
   * UVSIM_Z_PAGE, UVSIM_Z_SEGMENT or UVSIM_Z_REGION.
   */
  uint32_t size;
};

/**
 * Translates an address as seen through an ASCE: fills the mapping and returns 0, or returns anything else when nothing is
 * mapped there. Called from any thread, from several at once; it must not call the library for the same machine.
 */
typedef int32_t (*uvsim_z_translate)(void *context, uint64_t address, struct uvsim_z_mapping *mapping);

/**
 * Which frames are closed, as bits that are read where they lie. The library changes them while calls are at work, so they are
 * read atomically: uvsim_frame_is_closed() and uvsim_closed_changes() do. Valid until the handle is closed.
 */
struct uvsim_closed_frames {
  /**
   * Frame n (address / 4096) is bit n modulo 64, of value 2 to the power of that, of word n / 64.
   */
  const uint64_t *words;
  /**
   * How many words there are.
   */
  size_t count;
  /**
   * How often a frame was closed or opened. Who keeps translations throws them away when this has changed.
   */
  const uint64_t *changes;
};

/**
 * A DIAG 308 as the CPU issues it.
 */
struct uvsim_z_diag308 {
  /**
   * GR r3, all of it: the subcode.
   */
  uint64_t subcode;
  /**
   * GR r1: a guest absolute address for subcodes 5, 6, 8 and 9.
   */
  uint64_t address;
  /**
   * Number of r1, 0 to 15.
   */
  uint32_t r1;
  /**
   * Not 0: the CPU is in problem state.
   */
  uint32_t problem_state;
};

/**
 * What comes of it.
 */
struct uvsim_z_diag308_answer {
  /**
   * UVSIM_Z_DIAG308_PROGRAM, UVSIM_Z_DIAG308_RESPONSE or UVSIM_Z_DIAG308_RESET.
   */
  uint32_t kind;
  /**
   * Program interruption code.
   */
  uint32_t program;
  /**
   * UVSIM_Z_RESET_ of the subcode.
   */
  uint32_t request;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * The response code, in its last 16 bits.
   */
  uint64_t response;
};

/**
 * What a reset leaves to the caller.
 */
struct uvsim_z_reset {
  /**
   * 0, or the response for GR r1+1 of the CPU that asked: the start as a protected guest failed, the guest is ordinary and goes
   * on behind its DIAG 308. uvsim_z_response_text() says why.
   */
  uint64_t response;
  /**
   * Not 0: the CPU that asked loads the PSW.
   */
  uint32_t has_psw;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Bits 0 to 63 of the PSW.
   */
  uint64_t psw_mask;
  /**
   * Its instruction address.
   */
  uint64_t psw_address;
};

/**
 * What a POWER machine is made of. uvsim_power_config_init() fills all but the key.
 */
struct uvsim_power_config {
  /**
   * UVSIM_ABI_VERSION.
   */
  uint32_t version;
  /**
   * UVSIM_POWER_DOCUMENTED or UVSIM_POWER_FIRMWARE.
   */
  uint32_t profile;
  /**
   * Secure memory, in pages of 64 KiB.
   */
  uint32_t secure_pages;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Everything random comes from this number.
   */
  uint64_t seed;
  /**
   * The machine's wrapping key as PEM text (RSA, not encrypted), not ended by a NUL.
   */
  const char *key;
  /**
   * Bytes of it.
   */
  size_t key_len;
};

/**
 * The registers of one CPU, as an ultracall finds and leaves them.
 */
struct uvsim_power_regs {
  /**
   * R0 to R31. An ultracall: the number in R3, arguments in R4 to R12; the result in R3.
   */
  uint64_t gpr[32];
  /**
   * Next instruction address.
   */
  uint64_t nip;
  /**
   * Machine state. Hypervisor: HV on, PR and S off; a guest: HV off; secure: S on.
   */
  uint64_t msr;
  /**
   * Fixed point exception register.
   */
  uint64_t xer;
  /**
   * Link register.
   */
  uint64_t lr;
  /**
   * Count register.
   */
  uint64_t ctr;
  /**
   * Come-from address.
   */
  uint64_t cfar;
  /**
   * SRR0.
   */
  uint64_t srr0;
  /**
   * SRR1.
   */
  uint64_t srr1;
  /**
   * HSRR0.
   */
  uint64_t hsrr0;
  /**
   * HSRR1.
   */
  uint64_t hsrr1;
  /**
   * SPRG0 to SPRG3.
   */
  uint64_t sprg[4];
  /**
   * HSPRG0, HSPRG1.
   */
  uint64_t hsprg[2];
  /**
   * Hypervisor data address.
   */
  uint64_t hdar;
  /**
   * Hypervisor data storage interrupt status.
   */
  uint64_t hdsisr;
  /**
   * Access segment descriptor.
   */
  uint64_t asdr;
  /**
   * Decrementer.
   */
  uint64_t dec;
  /**
   * Logical partitioning control.
   */
  uint64_t lpcr;
  /**
   * Instruction counter.
   */
  uint64_t ic;
  /**
   * Monitor mode control 0.
   */
  uint64_t mmcr0;
  /**
   * Monitor mode control A.
   */
  uint64_t mmcra;
  /**
   * Authority mask.
   */
  uint64_t amr;
  /**
   * Facility status and control.
   */
  uint64_t hfscr;
  /**
   * Floating point status and control.
   */
  uint64_t fpscr;
  /**
   * The special registers that the ultravisor masks, in the order of uvsim_power_spr_number().
   */
  uint64_t spr[UVSIM_POWER_SPRS];
  /**
   * Vector-scalar registers 0 to 63: the upper half first.
   */
  uint64_t vsr[64][2];
  /**
   * Condition register.
   */
  uint32_t cr;
  /**
   * Vector status and control.
   */
  uint32_t vscr;
  /**
   * Partition.
   */
  uint32_t lpidr;
  /**
   * Process.
   */
  uint32_t pidr;
  /**
   * Number of the virtual CPU whose registers these are.
   */
  uint32_t vcpu;
  /**
   * Number of the hardware thread.
   */
  uint32_t thread;
};

/**
 * Guest memory of a partition that is not secure: `len` bytes from guest address `guest` on lie at real address `host`.
 * All three are multiples of 64 KiB.
 */
struct uvsim_power_slot {
  /**
   * Guest address.
   */
  uint64_t guest;
  /**
   * Bytes.
   */
  uint64_t len;
  /**
   * Real address.
   */
  uint64_t host;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the interface that the library has: UVSIM_ABI_VERSION of the header it was built with.
 */
uint32_t uvsim_abi_version(void);

/**
 * The text of the last call of this thread that did not return UVSIM_OK, in English, with a NUL at its end.
 *
 * Writes at most `len` bytes to `into`; a text that is longer is cut. Returns the length of the whole text without its NUL,
 * so that a caller with `len` 0 (`into` may be NULL then) learns how much room it needs.
 *
 * What the caller promises:
 * `into` points to `len` bytes that may be written, or `len` is 0.
 */
size_t uvsim_last_error(char *into,
                        size_t len);

/**
 * Closes a machine or a guest. Calls of other threads that are at work on it go on to their end; later ones return
 * UVSIM_E_HANDLE. When this has returned and no such call is at work, the caller's memory is no longer touched, and what
 * uvsim_z_closed_frames() gave must not be read any more.
 */
int32_t uvsim_close(uvsim_handle handle);

/**
 * Fills a configuration: a z17 with a host key made from the seed 1.
 *
 * What the caller promises:
 * `config` points to a configuration that may be written.
 */
int32_t uvsim_z_config_init(struct uvsim_z_config *config);

/**
 * Makes a machine whose host memory is the caller's. Its Ultravisor waits for INIT_UV. The machine writes to that memory
 * what a host may see: the ciphertext of exported pages, shared pages, zeros in what it gives back, and the answers
 * of uvsim_z_uvc_at().
 *
 * What the caller promises:
 * `config` and `memory` point to such structures, with what they say; `handle` can be written.
 */
int32_t uvsim_z_machine_new(const struct uvsim_z_config *config,
                            const struct uvsim_memory *memory,
                            uvsim_handle *handle);

/**
 * A UVC of a host CPU, on a copy of its control block: `block` is read and gets the answer, `len` bytes of it can be
 * reached. A shorter block than its header says gives a page-translation interruption, as on a machine.
 *
 * What the caller promises:
 * `instruction` is NULL or can be read; `block` has `len` bytes that can be read and written; `answer` can be written.
 */
int32_t uvsim_z_uvc(uvsim_handle machine,
                    const struct uvsim_z_instruction *instruction,
                    uint8_t *block,
                    size_t len,
                    struct uvsim_z_answer *answer);

/**
 * A UVC of a host CPU, on a control block at a host virtual address, in the home space (uvsim_z_set_home_space()). The answer
 * is stored there. Interruptions for the operand are as on a machine: 0x11, 0x05 and 0x3d, with their TEID.
 *
 * What the caller promises:
 * `instruction` is NULL or can be read; `answer` can be written.
 */
int32_t uvsim_z_uvc_at(uvsim_handle machine,
                       const struct uvsim_z_instruction *instruction,
                       uint64_t address,
                       struct uvsim_z_answer *answer);

/**
 * A UVC of a protected guest of this machine, on a control block at a guest absolute address. The answer is stored there. `conf` is the
 * handle that CREATE_SEC_CONF gave. UVSIM_E_NOT_FOUND: no configuration with a verified image has it.
 *
 * What the caller promises:
 * `instruction` is NULL or can be read; `answer` can be written.
 */
int32_t uvsim_z_guest_uvc_at(uvsim_handle machine,
                             uint64_t conf,
                             const struct uvsim_z_instruction *instruction,
                             uint64_t address,
                             struct uvsim_z_answer *answer);

/**
 * Says how many host CPUs run. INIT_UV wants one; a new machine has one.
 */
int32_t uvsim_z_set_running_cpus(uvsim_handle machine, uint32_t count);

/**
 * Host reset "load normal": every configuration ends, donated storage is cleared and given back, the Ultravisor waits for
 * INIT_UV again. No other call may be at work.
 */
int32_t uvsim_z_load_normal(uvsim_handle machine);

/**
 * Whether a host access to `len` bytes at a host absolute address takes a secure-storage access exception (0x3d): `*closed`
 * gets 1 if it does, else 0. UVSIM_E_MEMORY: there is no memory in the range.
 *
 * What the caller promises:
 * `closed` can be written.
 */
int32_t uvsim_z_is_closed(uvsim_handle machine,
                          uint64_t address,
                          uint64_t len,
                          uint32_t *closed);

/**
 * Puts a map behind an ASCE: a guest's, or the host's home space. One that was there before is replaced. A machine with
 * UVSIM_Z_WALK_TABLES needs none.
 *
 * What the caller promises:
 * `translate` and `context` stay valid until uvsim_z_detach() or uvsim_close(), and until calls that are at work have ended.
 */
int32_t uvsim_z_attach(uvsim_handle machine,
                       uint64_t asce,
                       uvsim_z_translate translate,
                       void *context);

/**
 * Takes the map behind an ASCE away.
 */
int32_t uvsim_z_detach(uvsim_handle machine, uint64_t asce);

/**
 * Loads control register 13 of the host's CPUs: the home space, through which host virtual addresses in control blocks are
 * translated. `has_asce` 0: as after power-on, host virtual is host absolute.
 */
int32_t uvsim_z_set_home_space(uvsim_handle machine,
                               uint32_t has_asce,
                               uint64_t asce);

/**
 * The bits of a machine: frames that the host cannot reach. Of an emulated guest: pages that nobody but the guest may
 * reach, so that devices leave them alone.
 *
 * What the caller promises:
 * `frames` can be written.
 */
int32_t uvsim_z_closed_frames(uvsim_handle handle,
                              struct uvsim_closed_frames *frames);

/**
 * Makes a guest whose CPUs the caller emulates and whose storage, from guest absolute 0 on, is the caller's. `is_protected` 0: an
 * ordinary guest, which may become protected by DIAG 308. Else: protected from its first instruction on, with an SE header
 * of its own, for no pages.
 *
 * Private pages lie in the caller's memory in clear: an emulator runs the guest's instructions there.
 * uvsim_z_closed_frames() says what devices must leave alone.
 *
 * What the caller promises:
 * `config` and `memory` point to such structures, with what they say; `handle` can be written.
 */
int32_t uvsim_z_guest_new(const struct uvsim_z_config *config,
                          const struct uvsim_memory *memory,
                          uint32_t is_protected,
                          uvsim_handle *handle);

/**
 * A UVC of the guest, on a control block at a guest absolute address. The answer is stored there. An ordinary guest gets an
 * operation exception (0x01).
 *
 * What the caller promises:
 * `instruction` is NULL or can be read; `answer` can be written.
 */
int32_t uvsim_z_guest_uvc(uvsim_handle guest,
                          const struct uvsim_z_instruction *instruction,
                          uint64_t address,
                          struct uvsim_z_answer *answer);

/**
 * Whether the guest is protected: `*is_protected` gets 1 or 0.
 *
 * What the caller promises:
 * `is_protected` can be written.
 */
int32_t uvsim_z_guest_is_protected(uvsim_handle guest, uint32_t *is_protected);

/**
 * The SE header that a protected guest was started with; its owner's requests are made for it. Writes at most `len` bytes to `into`;
 * `*needed` gets the length of the header (at most 8192). UVSIM_E_NOT_FOUND: the guest is ordinary.
 *
 * What the caller promises:
 * `into` has `len` bytes that can be written; `needed` can be written.
 */
int32_t uvsim_z_se_header(uvsim_handle guest,
                          uint8_t *into,
                          size_t len,
                          size_t *needed);

/**
 * A DIAG 308 of the guest. Subcodes 8 and 9 set and store the PV IPIB, 10 asks for the start as a protected guest; a
 * protected guest has none of the three. 5 and 6 keep an IPIB of their own, for a caller that has none; 0, 1 and 3 only say that a
 * reset is wanted.
 *
 * What the caller promises:
 * `call` can be read; `answer` can be written.
 */
int32_t uvsim_z_guest_diag308(uvsim_handle guest,
                              const struct uvsim_z_diag308 *call,
                              struct uvsim_z_diag308_answer *answer);

/**
 * Carries out a reset, when all CPUs of the guest have stopped and devices have let go of its storage.
 *
 * | request | here | the caller's part |
 * |---|---|---|
 * | UVSIM_Z_RESET_MODIFIED_CLEAR, _LOAD_NORMAL | a protected guest's pages are private again | CPU resets, the PSW |
 * | UVSIM_Z_RESET_RE_IPL | protection ends: private pages are cleared, secrets forgotten | resets, loading; no PSW |
 * | UVSIM_Z_RESET_PROTECTED | header, unpack, verify, in the guest's storage | clear reset of all CPUs, the PSW |
 *
 * After a start that failed, what was unpacked is zero.
 *
 * What the caller promises:
 * `answer` can be written.
 */
int32_t uvsim_z_guest_reset(uvsim_handle guest,
                            uint32_t request,
                            struct uvsim_z_reset *answer);

/**
 * The name of a UV call, by its command code; the number for one that is not known. Text as of uvsim_last_error().
 *
 * What the caller promises:
 * `into` has `len` bytes that can be written.
 */
size_t uvsim_z_command_text(uint16_t command,
                            char *into,
                            size_t len);

/**
 * A refused UV call in words: its name and its codes. Text as of uvsim_last_error().
 *
 * What the caller promises:
 * `into` has `len` bytes that can be written.
 */
size_t uvsim_z_refusal_text(uint16_t command, uint16_t rc, uint16_t rrc, char *into, size_t len);

/**
 * A program interruption code in words. Text as of uvsim_last_error().
 *
 * What the caller promises:
 * `into` has `len` bytes that can be written.
 */
size_t uvsim_z_program_text(uint16_t code, char *into, size_t len);

/**
 * A response of DIAG 308 in words: for a failed start the command, its codes and what they mean to the guest's owner.
 * Text as of uvsim_last_error().
 *
 * What the caller promises:
 * `into` has `len` bytes that can be written.
 */
size_t uvsim_z_response_text(uint64_t response,
                             char *into,
                             size_t len);

/**
 * Fills a configuration: the documented profile, 1 GiB of secure memory, no key.
 *
 * What the caller promises:
 * `config` can be written.
 */
int32_t uvsim_power_config_init(struct uvsim_power_config *config);

/**
 * Makes a machine whose normal memory is the caller's: real addresses are addresses there.
 *
 * What the caller promises:
 * `config` and `memory` point to such structures, with what they say; `handle` can be written.
 */
int32_t uvsim_power_machine_new(const struct uvsim_power_config *config,
                                const struct uvsim_memory *memory,
                                uvsim_handle *handle);

/**
 * `sc 2` on a CPU whose registers these are: the number of the call in R3, its arguments in R4 to R12, the caller's privilege
 * in the MSR, the partition in `lpidr`. On return they are the registers that the CPU goes on with: the result in
 * R3, or those of the interrupt or hypercall that the ultravisor reflects to the hypervisor.
 *
 * What the caller promises:
 * `regs` can be read and written.
 */
int32_t uvsim_power_ultracall(uvsim_handle machine,
                              struct uvsim_power_regs *regs);

/**
 * Says what lies behind the guest addresses of a partition: `count` slots; none with 0.
 *
 * What the caller promises:
 * `slots` points to `count` slots that can be read.
 */
int32_t uvsim_power_set_partition_memory(uvsim_handle machine,
                                         uint32_t lpid,
                                         const struct uvsim_power_slot *slots,
                                         size_t count);

/**
 * Secure pages of 64 KiB: how many are in use, and how many there are.
 *
 * What the caller promises:
 * `used` and `all` can be written.
 */
int32_t uvsim_power_secure_pages(uvsim_handle machine, uint64_t *used, uint64_t *all);

/**
 * The name of an ultracall, by its number; the number for one that is not known. Text as of uvsim_last_error().
 *
 * What the caller promises:
 * `into` has `len` bytes that can be written.
 */
size_t uvsim_power_ultracall_text(uint64_t number,
                                  char *into,
                                  size_t len);

/**
 * Fills registers: a hypervisor's, 64-bit and little endian, all else neutral.
 *
 * What the caller promises:
 * `regs` can be written.
 */
int32_t uvsim_power_regs_init(struct uvsim_power_regs *regs);

/**
 * Number of the special register at an index of `spr`; 0xffff behind the last.
 */
uint16_t uvsim_power_spr_number(size_t index);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* UVSIM_H */

/* Whether the frame of 4096 bytes that holds `address` is closed. Outside of the memory nothing is. */
static inline int uvsim_frame_is_closed(const struct uvsim_closed_frames *frames, uint64_t address)
{
    uint64_t frame = address >> 12;

    if (frame / 64 >= frames->count) {
        return 0;
    }
    return (int)(__atomic_load_n(&frames->words[frame / 64], __ATOMIC_ACQUIRE) >> (frame % 64) & 1);
}

/* How often a frame was closed or opened. */
static inline uint64_t uvsim_closed_changes(const struct uvsim_closed_frames *frames)
{
    return __atomic_load_n(frames->changes, __ATOMIC_ACQUIRE);
}
