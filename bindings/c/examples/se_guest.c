/*
 * A Secure Execution image becomes a protected guest, in memory that is this program's.
 *
 *   se_guest IMAGE HOST_KEY_PEM
 *
 * The program plays the boot loader of the image (which says where header and IPIB are), then the kernel: it shares a page.
 * An emulator has the guest's CPUs do both.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "uvsim.h"

#define STORAGE (64ull << 20)
#define METADATA 0xc000
#define BLOCK 0x3000000ull
#define SHARED 0x3001000ull

static uint64_t be64(const uint8_t *at)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++) {
        value = value << 8 | at[i];
    }
    return value;
}

static void put_be64(uint8_t *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8) {
        at[i] = (uint8_t)value;
    }
}

static void must(int32_t status, const char *what)
{
    char text[256];

    if (status != UVSIM_OK) {
        uvsim_last_error(text, sizeof(text));
        fprintf(stderr, "%s: %s\n", what, text);
        exit(1);
    }
}

static size_t load(const char *path, uint8_t *into, size_t room)
{
    FILE *file = fopen(path, "rb");
    size_t len;

    if (!file) {
        perror(path);
        exit(1);
    }
    len = fread(into, 1, room, file);
    fclose(file);
    return len;
}

int main(int argc, char **argv)
{
    static char key[8192];
    uint8_t *storage = aligned_alloc(4096, STORAGE);
    struct uvsim_z_config config;
    struct uvsim_memory memory = {.base = storage, .size = STORAGE};
    struct uvsim_z_diag308 call = {.subcode = 8};
    struct uvsim_z_diag308_answer answer;
    struct uvsim_z_reset reset;
    struct uvsim_z_answer done;
    struct uvsim_closed_frames frames;
    uvsim_handle guest;
    uint64_t header, ipib;
    char text[256];

    if (argc != 3 || !storage) {
        fprintf(stderr, "usage: se_guest IMAGE HOST_KEY_PEM\n");
        return 2;
    }
    memset(storage, 0, STORAGE);
    load(argv[1], storage, STORAGE);

    must(uvsim_z_config_init(&config), "configuration");
    config.host_key_len = load(argv[2], (uint8_t *)key, sizeof(key));
    config.host_key = key;
    must(uvsim_z_guest_new(&config, &memory, 0, &guest), "guest");

    /* The boot loader: address and length of the header go to the IPIB. */
    if (memcmp(storage + METADATA, "SeImgLnx", 8) != 0) {
        fprintf(stderr, "%s: no metadata block: not an image of today's layout\n", argv[1]);
        return 1;
    }
    header = be64(storage + METADATA + 8);
    ipib = be64(storage + METADATA + 20);
    if (header > STORAGE - 16 || ipib > STORAGE - 4096) {
        fprintf(stderr, "%s: header or IPIB lie outside of the image\n", argv[1]);
        return 1;
    }
    put_be64(storage + ipib + 0x78, header);
    put_be64(storage + ipib + 0x80, be64(storage + header + 8) & 0xffffffff);
    call.address = ipib;
    must(uvsim_z_guest_diag308(guest, &call, &answer), "DIAG 308 subcode 8");
    if (answer.kind != UVSIM_Z_DIAG308_RESPONSE || answer.response != 1) {
        fprintf(stderr, "subcode 8: response %#" PRIx64 "\n", answer.response);
        return 1;
    }
    call = (struct uvsim_z_diag308){.subcode = 10};
    must(uvsim_z_guest_diag308(guest, &call, &answer), "DIAG 308 subcode 10");
    if (answer.kind != UVSIM_Z_DIAG308_RESET) {
        fprintf(stderr, "subcode 10: response %#" PRIx64 "\n", answer.response);
        return 1;
    }
    must(uvsim_z_guest_reset(guest, answer.request, &reset), "start");
    if (reset.response) {
        uvsim_z_response_text(reset.response, text, sizeof(text));
        printf("not protected: %s\n", text);
        return 3;
    }
    printf("protected, PSW %016" PRIx64 " %016" PRIx64 "\n", reset.psw_mask, reset.psw_address);

    /* The kernel: SET_SHARED_ACCESS of a page. */
    memset(storage + BLOCK, 0, 0x30);
    storage[BLOCK + 1] = 0x30;
    storage[BLOCK + 2] = 0x10;
    put_be64(storage + BLOCK + 0x20, SHARED);
    must(uvsim_z_guest_uvc(guest, NULL, BLOCK, &done), "share");
    must(uvsim_z_closed_frames(guest, &frames), "closed frames");
    printf("share: cc %u, rc %#06x; the page is %s, its neighbour is %s\n", done.cc,
           (unsigned)(storage[BLOCK + 4] << 8 | storage[BLOCK + 5]),
           uvsim_frame_is_closed(&frames, SHARED) ? "closed" : "shared",
           uvsim_frame_is_closed(&frames, SHARED + 0x1000) ? "closed" : "shared");

    must(uvsim_close(guest), "close");
    free(storage);
    return 0;
}
