/* The interface from C: argv[1] is a host key of Z, argv[2] a key of POWER. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "uvsim.h"

#define CHECK(condition)                                                                                             \
    do {                                                                                                             \
        if (!(condition)) {                                                                                          \
            char text[256];                                                                                          \
            uvsim_last_error(text, sizeof(text));                                                                    \
            fprintf(stderr, "%s:%d: %s (last failure: %s)\n", __FILE__, __LINE__, #condition, text);                 \
            exit(1);                                                                                                 \
        }                                                                                                            \
    } while (0)

#define GIB (1ull << 30)
#define HOST (4 * GIB)
#define STORAGE (4ull << 20)
#define UV_BASE (3 * GIB)

static void put(uint8_t *block, size_t at, size_t len, uint64_t value)
{
    while (len--) {
        block[at + len] = (uint8_t)value;
        value >>= 8;
    }
}

static unsigned half(const uint8_t *block, size_t at)
{
    return (unsigned)(block[at] << 8 | block[at + 1]);
}

static char *file(const char *path, size_t *len)
{
    FILE *in = fopen(path, "rb");
    char *text = malloc(65536);

    CHECK(in && text);
    *len = fread(text, 1, 65536, in);
    fclose(in);
    return text;
}

static uint8_t *map(uint64_t size)
{
    uint8_t *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    CHECK(at != MAP_FAILED);
    return at;
}

/* A UVC of a host on a copy of its block: cc. */
static unsigned uvc(uvsim_handle machine, unsigned command, uint8_t *block, size_t len)
{
    struct uvsim_z_answer answer;

    put(block, 0, 2, len);
    put(block, 2, 2, command);
    CHECK(uvsim_z_uvc(machine, NULL, block, len, &answer) == UVSIM_OK && answer.kind == UVSIM_Z_DONE);
    return answer.cc;
}

static void init_uv(uvsim_handle machine)
{
    uint8_t query[0x120] = {0}, init[0x48] = {0};

    CHECK(uvc(machine, 0x0001, query, sizeof(query)) == 0 && half(query, 4) == 1);
    put(init, 0x18, 8, UV_BASE);
    memcpy(init + 0x20, query + 0x40, 8);
    CHECK(uvc(machine, 0x000f, init, sizeof(init)) == 0 && half(init, 4) == 1);
}

static void configurations(const char *key, size_t key_len, const char *none, size_t none_len)
{
    static uint8_t bytes[4096] __attribute__((aligned(4096)));
    struct uvsim_memory memory = {.base = bytes, .size = sizeof(bytes)}, bad = {.size = 4096};
    struct uvsim_z_config config, wrong;
    uvsim_handle handle = 77;
    char text[128];

    CHECK(uvsim_abi_version() == UVSIM_ABI_VERSION);
    CHECK(uvsim_z_config_init(NULL) == UVSIM_E_ARGUMENT);
    CHECK(uvsim_last_error(text, sizeof(text)) == strlen("config is NULL") && !strcmp(text, "config is NULL"));
    CHECK(uvsim_z_config_init(&config) == UVSIM_OK && config.generation == 17);
    config.host_key = key;
    config.host_key_len = key_len;
    wrong = config;
    wrong.version = UVSIM_ABI_VERSION + 1;
    CHECK(uvsim_z_guest_new(&wrong, &memory, 0, &handle) == UVSIM_E_VERSION);
    wrong = config;
    wrong.generation = 14;
    CHECK(uvsim_z_guest_new(&wrong, &memory, 0, &handle) == UVSIM_E_ARGUMENT);
    wrong = config;
    wrong.flags = 8;
    CHECK(uvsim_z_guest_new(&wrong, &memory, 0, &handle) == UVSIM_E_ARGUMENT);
    wrong = config;
    wrong.host_key = none;
    wrong.host_key_len = none_len;
    CHECK(uvsim_z_guest_new(&wrong, &memory, 0, &handle) == UVSIM_E_KEY);
    CHECK(uvsim_last_error(text, sizeof(text)) > 0 && !strncmp(text, "host key: ", 10));
    CHECK(uvsim_z_guest_new(&config, &bad, 0, &handle) == UVSIM_E_ARGUMENT);
    CHECK(uvsim_z_guest_new(&config, NULL, 0, &handle) == UVSIM_E_ARGUMENT);
    CHECK(uvsim_z_guest_new(&config, &memory, 0, NULL) == UVSIM_E_ARGUMENT);
    CHECK(handle == 77);
}

static void handles(const struct uvsim_z_config *config)
{
    static uint8_t bytes[8192] __attribute__((aligned(4096)));
    struct uvsim_memory memory = {.base = bytes, .size = sizeof(bytes)};
    uvsim_handle first, second;
    struct uvsim_z_answer answer;
    uint32_t is = 9;

    CHECK(uvsim_z_guest_new(config, &memory, 0, &first) == UVSIM_OK && first != 0);
    CHECK(uvsim_z_guest_is_protected(first, &is) == UVSIM_OK && is == 0);
    CHECK(uvsim_z_uvc_at(first, NULL, 0, &answer) == UVSIM_E_HANDLE);
    CHECK(uvsim_z_guest_uvc(first, NULL, 0, &answer) == UVSIM_OK);
    CHECK(answer.kind == UVSIM_Z_PROGRAM && answer.program == 0x01 && !answer.has_teid);
    CHECK(uvsim_close(first) == UVSIM_OK && uvsim_close(first) == UVSIM_E_HANDLE);
    CHECK(uvsim_z_guest_new(config, &memory, 0, &second) == UVSIM_OK && second != first);
    CHECK(uvsim_z_guest_is_protected(first, &is) == UVSIM_E_HANDLE);
    CHECK(uvsim_z_guest_is_protected(0, &is) == UVSIM_E_HANDLE && uvsim_close(~0ull) == UVSIM_E_HANDLE);
    CHECK(uvsim_close(second) == UVSIM_OK);
}

/* Memory behind callbacks, with a page that is not there. */
struct pages {
    uint8_t *at;
    atomic_int reads, writes;
};

static int32_t page_check(void *context, uint64_t address, uint64_t len)
{
    (void)context;
    return address < 0x3000 && address + len > 0x2000;
}

static int32_t page_read(void *context, uint64_t address, void *into, uint64_t len)
{
    struct pages *pages = context;

    atomic_fetch_add(&pages->reads, 1);
    if (page_check(context, address, len)) {
        return 1;
    }
    memcpy(into, pages->at + address, len);
    return 0;
}

static int32_t page_write(void *context, uint64_t address, const void *from, uint64_t len)
{
    struct pages *pages = context;

    atomic_fetch_add(&pages->writes, 1);
    if (page_check(context, address, len)) {
        return 1;
    }
    memcpy(pages->at + address, from, len);
    return 0;
}

static void callbacks(const struct uvsim_z_config *config)
{
    struct pages pages = {.at = map(STORAGE)};
    struct uvsim_memory memory = {
        .size = STORAGE, .context = &pages, .read = page_read, .write = page_write, .check = page_check};
    struct uvsim_z_answer answer;
    uvsim_handle guest;
    size_t needed = 0;
    uint8_t header[8192];
    uint32_t is;

    CHECK(uvsim_z_guest_new(config, &memory, 1, &guest) == UVSIM_OK);
    CHECK(uvsim_z_guest_is_protected(guest, &is) == UVSIM_OK && is == 1);
    CHECK(uvsim_z_se_header(guest, NULL, 0, &needed) == UVSIM_OK && needed == 640);
    CHECK(uvsim_z_se_header(guest, header, sizeof(header), &needed) == UVSIM_OK && !memcmp(header, "IBMSecEx", 8));
    /* QUI in guest role, then the same where there is no memory. */
    put(pages.at, 0x1000, 2, 0x120);
    put(pages.at, 0x1002, 2, 1);
    CHECK(uvsim_z_guest_uvc(guest, NULL, 0x1000, &answer) == UVSIM_OK && answer.kind == UVSIM_Z_DONE);
    CHECK(answer.cc == 0 && half(pages.at, 0x1004) == 1 && pages.at[0x1010] == 0x80);
    CHECK(atomic_load(&pages.reads) > 0 && atomic_load(&pages.writes) == 1);
    CHECK(uvsim_z_guest_uvc(guest, NULL, 0x1ffc, &answer) == UVSIM_OK);
    CHECK(answer.kind == UVSIM_Z_PROGRAM && answer.program == 0x05);
    struct uvsim_z_instruction problem = {.problem_state = 1};
    CHECK(uvsim_z_guest_uvc(guest, &problem, 0x1000, &answer) == UVSIM_OK && answer.program == 0x02);
    CHECK(uvsim_close(guest) == UVSIM_OK);
}

/* Many threads share and take back, one page each, while one closes the guest at the end. */
struct sharer {
    uvsim_handle guest;
    uint8_t *storage;
    uint64_t page;
    int done, refused;
};

static void *shares(void *argument)
{
    struct sharer *self = argument;
    uint64_t block = self->page + 0x100;
    struct uvsim_z_answer answer;

    for (int round = 0; round < 2000; round++) {
        memset(self->storage + block, 0, 0x30);
        put(self->storage, block, 2, 0x30);
        put(self->storage, block + 2, 2, 0x1000 + (round & 1));
        put(self->storage, block + 0x20, 8, self->page);
        int32_t status = uvsim_z_guest_uvc(self->guest, NULL, block, &answer);
        if (status == UVSIM_E_HANDLE) {
            self->refused++;
            return NULL;
        }
        CHECK(status == UVSIM_OK && answer.kind == UVSIM_Z_DONE && answer.cc == 0);
        self->done++;
    }
    return NULL;
}

static void threads(const struct uvsim_z_config *config, int close_early)
{
    enum { COUNT = 4 };
    uint8_t *storage = map(STORAGE);
    struct uvsim_memory memory = {.base = storage, .size = STORAGE};
    struct sharer sharers[COUNT];
    pthread_t ids[COUNT];
    struct uvsim_closed_frames frames;
    uvsim_handle guest;

    CHECK(uvsim_z_guest_new(config, &memory, 1, &guest) == UVSIM_OK);
    CHECK(uvsim_z_closed_frames(guest, &frames) == UVSIM_OK && frames.count == STORAGE / 4096 / 64);
    for (int i = 0; i < COUNT; i++) {
        sharers[i] = (struct sharer){guest, storage, 0x10000 + 0x1000ull * (unsigned)i, 0, 0};
        CHECK(pthread_create(&ids[i], NULL, shares, &sharers[i]) == 0);
    }
    if (close_early) {
        CHECK(uvsim_close(guest) == UVSIM_OK);
    }
    for (int i = 0; i < COUNT; i++) {
        CHECK(pthread_join(ids[i], NULL) == 0);
        CHECK(close_early || sharers[i].done == 2000);
        CHECK(sharers[i].done == 2000 || sharers[i].refused == 1);
    }
    if (!close_early) {
        /* Closed once at the start, then each page opened and closed 1000 times. */
        CHECK(uvsim_closed_changes(&frames) == 1 + COUNT * 2000);
        CHECK(uvsim_frame_is_closed(&frames, 0x10000) && !uvsim_frame_is_closed(&frames, STORAGE));
        CHECK(uvsim_close(guest) == UVSIM_OK);
    }
    munmap(storage, STORAGE);
}

static void host(const struct uvsim_z_config *given)
{
    struct uvsim_z_config config = *given;
    uint8_t *ram = map(HOST);
    struct uvsim_memory memory = {.base = ram, .size = HOST};
    struct uvsim_z_answer answer;
    uvsim_handle machine;
    uint32_t closed;

    config.flags = UVSIM_Z_WALK_TABLES;
    CHECK(uvsim_z_machine_new(&config, &memory, &machine) == UVSIM_OK);
    CHECK(uvsim_z_set_running_cpus(machine, 2) == UVSIM_OK);
    uint8_t init[0x48] = {0};
    CHECK(uvc(machine, 0x000f, init, sizeof(init)) == 1 && half(init, 4) == 0x0102);
    CHECK(uvsim_z_set_running_cpus(machine, 1) == UVSIM_OK);
    init_uv(machine);
    CHECK(uvsim_z_is_closed(machine, UV_BASE - 1, 2, &closed) == UVSIM_OK && closed == 1);
    CHECK(uvsim_z_is_closed(machine, UV_BASE - 1, 1, &closed) == UVSIM_OK && closed == 0);
    CHECK(uvsim_z_is_closed(machine, HOST, 1, &closed) == UVSIM_E_MEMORY);

    /* The block in memory, across a page; then in donated storage. */
    put(ram, 0x5ffc, 2, 0x40);
    put(ram, 0x5ffe, 2, 0x0101);
    CHECK(uvsim_z_uvc_at(machine, NULL, 0x5ffc, &answer) == UVSIM_OK && answer.kind == UVSIM_Z_DONE);
    CHECK(answer.cc == 1 && half(ram, 0x6000) == 0x0020);
    CHECK(uvsim_z_uvc_at(machine, NULL, UV_BASE, &answer) == UVSIM_OK);
    CHECK(answer.kind == UVSIM_Z_PROGRAM && answer.program == 0x3d && answer.has_teid);
    CHECK((answer.teid & ~0xfffull) == UV_BASE);
    /* The home space: a segment table whose first entry is a page table. Page 1 is mapped. */
    for (unsigned i = 0; i < 2048; i++) {
        put(ram, 0x100000 + i * 8, 8, 0x20);
    }
    put(ram, 0x100000, 8, 0x200000);
    for (unsigned i = 0; i < 256; i++) {
        put(ram, 0x200000 + i * 8, 8, i == 1 ? 0x300000 : 0x400);
    }
    CHECK(uvsim_z_set_home_space(machine, 1, 0x100103) == UVSIM_OK);
    put(ram, 0x300000, 2, 8);
    put(ram, 0x300002, 2, 0x4242);
    CHECK(uvsim_z_uvc_at(machine, NULL, 0x1000, &answer) == UVSIM_OK && answer.cc == 1);
    CHECK(half(ram, 0x300004) == 0x0002);
    CHECK(uvsim_z_uvc_at(machine, NULL, 0x2000, &answer) == UVSIM_OK);
    CHECK(answer.kind == UVSIM_Z_PROGRAM && answer.program == 0x11);
    CHECK(uvsim_z_set_home_space(machine, 0, 0) == UVSIM_OK);

    CHECK(uvsim_z_guest_uvc_at(machine, 42, NULL, 0, &answer) == UVSIM_E_NOT_FOUND);
    ram[UV_BASE] = 7;
    CHECK(uvsim_z_load_normal(machine) == UVSIM_OK && ram[UV_BASE] == 0);
    CHECK(uvsim_z_is_closed(machine, UV_BASE, 1, &closed) == UVSIM_OK && closed == 0);
    CHECK(uvsim_close(machine) == UVSIM_OK);
    munmap(ram, HOST);
}

static void texts(void)
{
    char text[128];

    uvsim_z_command_text(0x0100, text, sizeof(text));
    CHECK(!strcmp(text, "CREATE_SEC_CONF"));
    uvsim_z_refusal_text(0x0302, 0x0102, 0x001b, text, sizeof(text));
    CHECK(!strcmp(text, "VERIFY_IMG: cc 1, rc 0x0102, rrc 0x001b"));
    uvsim_z_program_text(0x3d, text, sizeof(text));
    CHECK(!strcmp(text, "0x3d (secure storage access)"));
    uvsim_z_response_text(0x0004001b01020a02, text, sizeof(text));
    CHECK(!strcmp(text, "verify: rc 0x0102, rrc 0x001b: a component holds something else than its owner measured"));
    uvsim_z_response_text(0x0902, text, sizeof(text));
    CHECK(!strcmp(text, "no PV configuration is stored"));
    CHECK(uvsim_power_ultracall_text(0xf104, text, 4) == strlen("UV_WRITE_PATE") && !strcmp(text, "UV_"));
}

static void power(const char *key, size_t key_len)
{
    uint8_t *ram = map(16 << 20);
    struct uvsim_memory memory = {.base = ram, .size = 16 << 20};
    struct uvsim_power_config config;
    struct uvsim_power_slot slot = {.guest = 0, .len = 0x100000, .host = 0x200000};
    struct uvsim_power_regs regs;
    uvsim_handle machine;
    uint64_t used, all;

    CHECK(uvsim_power_config_init(&config) == UVSIM_OK);
    CHECK(uvsim_power_machine_new(&config, &memory, &machine) == UVSIM_E_KEY);
    config.key = key;
    config.key_len = key_len;
    config.profile = 2;
    CHECK(uvsim_power_machine_new(&config, &memory, &machine) == UVSIM_E_ARGUMENT);
    config.profile = UVSIM_POWER_DOCUMENTED;
    CHECK(uvsim_power_machine_new(&config, &memory, &machine) == UVSIM_OK);
    CHECK(uvsim_power_secure_pages(machine, &used, &all) == UVSIM_OK && used == 0 && all == 16384);
    CHECK(uvsim_power_set_partition_memory(machine, 7, &slot, 1) == UVSIM_OK);
    slot.host = 0x1000;
    CHECK(uvsim_power_set_partition_memory(machine, 7, &slot, 1) == UVSIM_E_ARGUMENT);

    /* A hypervisor writes an entry of the partition table; a guest may not, and asks for a call that is none. */
    CHECK(uvsim_power_regs_init(&regs) == UVSIM_OK);
    regs.gpr[3] = 0xf104;
    regs.gpr[4] = 7;
    regs.gpr[5] = 0;
    regs.gpr[6] = 0;
    regs.gpr[20] = 20;
    CHECK(uvsim_power_ultracall(machine, &regs) == UVSIM_OK && regs.gpr[3] == 0 && regs.gpr[20] == 20);
    CHECK(uvsim_power_regs_init(&regs) == UVSIM_OK);
    regs.gpr[3] = 0xf140;
    regs.gpr[4] = 7;
    CHECK(uvsim_power_ultracall(machine, &regs) == UVSIM_OK && (int64_t)regs.gpr[3] < 0);
    CHECK(uvsim_power_regs_init(&regs) == UVSIM_OK);
    regs.gpr[3] = 0xffff;
    CHECK(uvsim_power_ultracall(machine, &regs) == UVSIM_OK && (int64_t)regs.gpr[3] == -2);
    CHECK(uvsim_power_spr_number(2) == 0x13 && uvsim_power_spr_number(UVSIM_POWER_SPRS) == 0xffff);
    CHECK(uvsim_power_ultracall(0, &regs) == UVSIM_E_HANDLE);
    CHECK(uvsim_close(machine) == UVSIM_OK);
    munmap(ram, 16 << 20);
}

int main(int argc, char **argv)
{
    struct uvsim_z_config config;
    size_t key_len, power_len;
    char *key, *power_key;

    CHECK(argc == 3);
    key = file(argv[1], &key_len);
    power_key = file(argv[2], &power_len);
    configurations(key, key_len, power_key, power_len);
    CHECK(uvsim_z_config_init(&config) == UVSIM_OK);
    config.host_key = key;
    config.host_key_len = key_len;
    handles(&config);
    callbacks(&config);
    threads(&config, 0);
    threads(&config, 1);
    host(&config);
    texts();
    power(power_key, power_len);
    free(key);
    free(power_key);
    puts("all as the header says");
    return 0;
}
