/*
 * A host initializes the Ultravisor, makes a secure configuration, and sees a frame close and open again.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "uvsim.h"

#define GIB (1ull << 30)
#define SIZE (4 * GIB)
#define GUEST (1 * GIB)
#define UV_BASE (3 * GIB)
#define GUEST_LEN 0x400000ull
#define ASCE (0x4000000ull | 0x107)

/* Command codes. */
#define QUI 0x0001
#define INIT_UV 0x000f
#define CREATE_SEC_CONF 0x0100
#define CONV_TO_SEC_STOR 0x0200
#define CONV_FROM_SEC_STOR 0x0201

static uint64_t get(const uint8_t *block, size_t at, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++) {
        value = value << 8 | block[at + i];
    }
    return value;
}

static void put(uint8_t *block, size_t at, size_t len, uint64_t value)
{
    while (len--) {
        block[at + len] = (uint8_t)value;
        value >>= 8;
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

/* Issues a call on a block until it is neither busy nor done in part. */
static void uvc(uvsim_handle machine, unsigned command, uint8_t *block, size_t len)
{
    struct uvsim_z_answer answer;
    char name[64];
    unsigned rc;

    put(block, 0, 2, len);
    put(block, 2, 2, command);
    do {
        must(uvsim_z_uvc(machine, NULL, block, len, &answer), "UVC");
    } while (answer.kind == UVSIM_Z_DONE && answer.cc > 1);
    rc = (unsigned)get(block, 4, 2);
    uvsim_z_command_text((uint16_t)command, name, sizeof(name));
    printf("%s: cc %u, rc %#06x\n", name, answer.cc, rc);
    if (rc != 1) {
        exit(1);
    }
}

/* The guest's page tables: page n lies n pages behind GUEST. */
static int32_t translate(void *context, uint64_t address, struct uvsim_z_mapping *mapping)
{
    (void)context;
    if (address >= GUEST_LEN) {
        return 1;
    }
    mapping->frame = GUEST + address;
    mapping->writable = 1;
    mapping->size = UVSIM_Z_PAGE;
    return 0;
}

int main(void)
{
    uint8_t query[0x120] = {0}, init[0x48] = {0}, create[0x80] = {0}, convert[0x28] = {0}, back[0x20] = {0};
    uint8_t *ram = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct uvsim_memory memory = {.base = ram, .size = SIZE};
    struct uvsim_z_config config;
    struct uvsim_closed_frames frames;
    uvsim_handle machine;
    uint64_t changes;

    if (ram == MAP_FAILED) {
        perror("mmap");
        return 1;
    }
    must(uvsim_z_config_init(&config), "configuration");
    must(uvsim_z_machine_new(&config, &memory, &machine), "machine");
    must(uvsim_z_closed_frames(machine, &frames), "closed frames");

    uvc(machine, QUI, query, sizeof(query));
    put(init, 0x18, 8, UV_BASE);
    put(init, 0x20, 8, get(query, 0x40, 8));
    uvc(machine, INIT_UV, init, sizeof(init));
    printf("donated storage is %s\n", uvsim_frame_is_closed(&frames, UV_BASE) ? "closed" : "open");

    must(uvsim_z_attach(machine, ASCE, translate, NULL), "attach");
    put(create, 0x20, 8, GUEST + 0x1000000);
    put(create, 0x28, 8, GUEST + 0x1100000);
    put(create, 0x40, 8, GUEST_LEN);
    put(create, 0x48, 8, GUEST + 0x1200000);
    put(create, 0x50, 8, ASCE);
    uvc(machine, CREATE_SEC_CONF, create, sizeof(create));

    memcpy(ram + GUEST + 0x5000, "the host's", 10);
    changes = uvsim_closed_changes(&frames);
    put(convert, 0x18, 8, get(create, 0x18, 8));
    put(convert, 0x20, 8, 0x5000);
    uvc(machine, CONV_TO_SEC_STOR, convert, sizeof(convert));
    printf("the guest's page is %s; changes: %" PRIu64 "\n",
           uvsim_frame_is_closed(&frames, GUEST + 0x5000) ? "closed" : "open",
           uvsim_closed_changes(&frames) - changes);
    put(back, 0x18, 8, GUEST + 0x5000);
    uvc(machine, CONV_FROM_SEC_STOR, back, sizeof(back));
    printf("exported: %s\n", memcmp(ram + GUEST + 0x5000, "the host's", 10) ? "ciphertext" : "unchanged");

    must(uvsim_close(machine), "close");
    munmap(ram, SIZE);
    return 0;
}
