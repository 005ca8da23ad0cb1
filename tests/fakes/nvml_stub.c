/* A stand-in for libnvidia-ml.so.1: it answers from a scenario file, which it reads again at each call.
 *
 * Lines of the file NVML_STUB (anything else is ignored):
 *   init CODE                          what nvmlInitWithFlags returns
 *   count N                            number of devices
 *   hang FUNCTION                      this call does not return while the line stands
 *   error FUNCTION DEVICE CODE         this call fails for this device
 *   gpu DEVICE KEY VALUE               busy memory_busy total used reserved power limit temperature graphics memory_clock held_back
 *                                      corrected uncorrected lost cut
 *   process DEVICE LIST PID BYTES      LIST: Compute, Graphics or MPSCompute
 *   sample DEVICE PID PERCENT [US]     a utilisation sample, stamped now if no moment is given
 *   slice DEVICE NUMBER TOTAL USED     a MIG slice; its processes: process with DEVICE 100 + 10 * DEVICE + NUMBER
 *   swapped 1                          records of processes have pid and memory exchanged, as with R535
 *   xid DEVICE CODE NUMBER             an event, told once for each NUMBER
 *
 * -DWITHOUT_name leaves a symbol out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef unsigned long long u64;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { u64 total, free, used; } memory_v1_t;
typedef struct { unsigned version; u64 total, reserved, free, used; } memory_v2_t;
typedef struct { unsigned pid; u64 bytes; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { unsigned pid; u64 stamp; unsigned sm, mem, enc, dec; } sample_t;
typedef struct { char legacy[16]; unsigned domain, bus, device, id, subsystem; char bus_id[32]; } pci_t;
typedef struct { void *device; u64 type, data; unsigned gpu_instance, compute_instance; } event_t;

#define OK 0
#define NOT_SUPPORTED 3
#define NOT_FOUND 6
#define SIZE 7
#define TIME_OUT 10
#define LOST 15
#define SLICE 100

static int number_of(void *handle) { return (int)(size_t)handle - 1; }
static void *handle_of(int number) { return (void *)(size_t)(number + 1); }

static FILE *scenario(void) { const char *path = getenv("NVML_STUB"); return path ? fopen(path, "r") : NULL; }

/* The value behind the first line that begins with these words. */
static int value(const char *words, u64 *found)
{
    char line[256]; size_t length = strlen(words); int is_found = 0; FILE *file = scenario();
    if (!file) return 0;
    while (!is_found && fgets(line, sizeof line, file))
        if (!strncmp(line, words, length) && line[length] == ' ') { *found = strtoull(line + length, NULL, 10); is_found = 1; }
    fclose(file);
    return is_found;
}

static int has_line(const char *words)
{
    char line[256]; int is_found = 0; FILE *file = scenario();
    if (!file) return 0;
    while (!is_found && fgets(line, sizeof line, file)) { line[strcspn(line, "\n")] = 0; is_found = !strcmp(line, words); }
    fclose(file);
    return is_found;
}

static u64 of_gpu(int device, const char *key, u64 otherwise)
{
    char words[64]; u64 found = otherwise;
    snprintf(words, sizeof words, "gpu %d %s", device, key);
    value(words, &found);
    return found;
}

/* What every call does first: hang, fail, or go on. */
static int enter(const char *function, int device)
{
    char words[128]; u64 code = 0; struct timespec pause = {0, 20000000};
    snprintf(words, sizeof words, "hang %s", function);
    while (has_line(words)) nanosleep(&pause, NULL);
    snprintf(words, sizeof words, "error %s %d", function, device);
    if (value(words, &code)) return (int)code;
    if (device >= 0 && device < SLICE && of_gpu(device, "lost", 0)) return LOST;
    return OK;
}
#define ENTER(device) do { int code = enter(__func__ , device); if (code) return code; } while (0)

static u64 now_us(void) { struct timespec t; clock_gettime(CLOCK_REALTIME, &t); return (u64)t.tv_sec * 1000000 + t.tv_nsec / 1000; }

const char *nvmlErrorString(int code) { static char text[32]; snprintf(text, sizeof text, "stub error %d", code); return text; }
int nvmlInitWithFlags(unsigned flags) { u64 code = 0; (void)flags; ENTER(-1); value("init", &code); return (int)code; }
int nvmlShutdown(void) { return OK; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) { ENTER(-1); snprintf(text, length, "550.54.15"); return OK; }
int nvmlDeviceGetCount_v2(unsigned *count) { u64 found = 0; ENTER(-1); value("count", &found); *count = found; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) { ENTER((int)index); *handle = handle_of(index); return OK; }
int nvmlDeviceGetName(void *h, char *text, unsigned n) { ENTER(number_of(h)); snprintf(text, n, "Stub H%d", number_of(h)); return OK; }

int nvmlDeviceGetUUID(void *h, char *text, unsigned n)
{
    int device = number_of(h);
    ENTER(device);
    snprintf(text, n, device < SLICE ? "GPU-0000000%d" : "MIG-0000%04d", device);
    return OK;
}

int nvmlDeviceGetPciInfo_v3(void *h, pci_t *info)
{
    if (number_of(h) >= SLICE) return NOT_SUPPORTED;
    ENTER(number_of(h));
    memset(info, 0, sizeof *info);
    snprintf(info->bus_id, sizeof info->bus_id, "00000000:%02X:00.0", number_of(h) + 1);
    return OK;
}

int nvmlDeviceGetUtilizationRates(void *h, utilization_t *found)
{
    int device = number_of(h);
    ENTER(device);
    if (device >= SLICE || of_gpu(device, "cut", 0)) return NOT_SUPPORTED;
    found->gpu = of_gpu(device, "busy", 0); found->memory = of_gpu(device, "memory_busy", 0);
    return OK;
}

static void memory_of(int device, u64 *total, u64 *used, u64 *reserved)
{
    char words[64], line[256]; FILE *file;
    *total = of_gpu(device, "total", 85899345920ull); *used = of_gpu(device, "used", 0); *reserved = of_gpu(device, "reserved", 0);
    if (device < SLICE || !(file = scenario())) return;
    snprintf(words, sizeof words, "slice %d %d %%llu %%llu", (device - SLICE) / 10, device % 10);
    while (fgets(line, sizeof line, file) && sscanf(line, words, total, used) != 2) ;
    fclose(file);
}

int nvmlDeviceGetMemoryInfo(void *h, memory_v1_t *found)
{
    u64 reserved;
    ENTER(number_of(h));
    memory_of(number_of(h), &found->total, &found->used, &reserved);
    found->free = found->total - found->used;
    return OK;
}

#ifndef WITHOUT_nvmlDeviceGetMemoryInfo_v2
int nvmlDeviceGetMemoryInfo_v2(void *h, memory_v2_t *found)
{
    ENTER(number_of(h));
    memory_of(number_of(h), &found->total, &found->used, &found->reserved);
    found->free = found->total - found->used - found->reserved;
    return OK;
}
#endif

#define NUMBER(function, key, otherwise) \
    int function(void *h, unsigned *found) { ENTER(number_of(h)); *found = of_gpu(number_of(h), key, otherwise); return OK; }
NUMBER(nvmlDeviceGetPowerUsage, "power", 100000)
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "limit", 700000)

int nvmlDeviceGetTemperature(void *h, int sensor, unsigned *found)
{
    (void)sensor; ENTER(number_of(h)); *found = of_gpu(number_of(h), "temperature", 40); return OK;
}

int nvmlDeviceGetClockInfo(void *h, int type, unsigned *found)
{
    ENTER(number_of(h));
    *found = type ? of_gpu(number_of(h), "memory_clock", 2619) : of_gpu(number_of(h), "graphics", 1980);
    return OK;
}

static int held_back(void *h, u64 *found) { *found = of_gpu(number_of(h), "held_back", 0); return OK; }
#ifndef WITHOUT_nvmlDeviceGetCurrentClocksEventReasons
int nvmlDeviceGetCurrentClocksEventReasons(void *h, u64 *found) { ENTER(number_of(h)); return held_back(h, found); }
#endif
int nvmlDeviceGetCurrentClocksThrottleReasons(void *h, u64 *found) { ENTER(number_of(h)); return held_back(h, found); }

int nvmlDeviceGetTotalEccErrors(void *h, int type, int counter, u64 *found)
{
    (void)counter; ENTER(number_of(h)); *found = of_gpu(number_of(h), type ? "uncorrected" : "corrected", 0); return OK;
}

int nvmlDeviceGetMigMode(void *h, unsigned *current, unsigned *pending)
{
    ENTER(number_of(h)); *current = *pending = of_gpu(number_of(h), "cut", 0); return OK;
}

int nvmlDeviceGetMaxMigDeviceCount(void *h, unsigned *count) { ENTER(number_of(h)); *count = 7; return OK; }

int nvmlDeviceGetMigDeviceHandleByIndex(void *h, unsigned index, void **found)
{
    char words[64]; u64 total; int device = number_of(h);
    ENTER(device);
    snprintf(words, sizeof words, "slice %d %u", device, index);
    if (!value(words, &total)) return NOT_FOUND;
    *found = handle_of(SLICE + 10 * device + index);
    return OK;
}

static int processes(void *h, const char *list, unsigned *count, process_t *rows, int may_swap)
{
    char words[64], line[256]; unsigned found = 0, pid; u64 bytes, swapped = 0; FILE *file = scenario();
    snprintf(words, sizeof words, "process %d %s %%u %%llu", number_of(h), list);
    if (may_swap) value("swapped", &swapped);
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, words, &pid, &bytes) == 2) {
            if (rows && found < *count) {
                memset(&rows[found], 0, sizeof *rows);
                rows[found].pid = swapped ? (unsigned)bytes : pid; rows[found].bytes = swapped ? pid : bytes;
            }
            found++;
        }
    if (file) fclose(file);
    if (found > (rows ? *count : 0)) { *count = found; return SIZE; }
    *count = found;
    return OK;
}
#define LIST(kind, version) \
    int nvmlDeviceGet##kind##RunningProcesses##version(void *h, unsigned *count, process_t *rows) \
    { ENTER(number_of(h)); return processes(h, #kind, count, rows, !strcmp(#version, "_v3")); }
#ifndef WITHOUT_nvmlDeviceGetComputeRunningProcesses_v3
LIST(Compute, _v3)
#endif
LIST(Graphics, _v3)
LIST(MPSCompute, _v3)
#ifdef WITH_v2
LIST(Compute, _v2)
LIST(Graphics, _v2)
LIST(MPSCompute, _v2)
#endif

int nvmlDeviceGetProcessUtilization(void *h, sample_t *rows, unsigned *count, u64 last_seen)
{
    char words[64], line[256]; unsigned found = 0, pid, percent; u64 stamp; FILE *file;
    ENTER(number_of(h));
    snprintf(words, sizeof words, "sample %d %%u %%u %%llu", number_of(h));
    file = scenario();
    while (file && fgets(line, sizeof line, file)) {
        stamp = now_us();
        if (sscanf(line, words, &pid, &percent, &stamp) >= 2 && stamp > last_seen) {
            if (rows && found < *count) { memset(&rows[found], 0, sizeof *rows); rows[found].pid = pid; rows[found].sm = percent; rows[found].stamp = stamp; }
            found++;
        }
    }
    if (file) fclose(file);
    if (!found) return NOT_FOUND;
    if (found > (rows ? *count : 0)) { *count = found; return SIZE; }
    *count = found;
    return OK;
}

int nvmlEventSetCreate(void **set) { ENTER(-1); *set = handle_of(0); return OK; }
int nvmlDeviceRegisterEvents(void *h, u64 types, void *set) { (void)types; (void)set; ENTER(number_of(h)); return OK; }

int nvmlEventSetWait_v2(void *set, event_t *event, unsigned milliseconds)
{
    static unsigned told; unsigned device, code, number; char line[256]; FILE *file;
    (void)set; (void)milliseconds; ENTER(-1);
    file = scenario();
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "xid %u %u %u", &device, &code, &number) == 3 && number > told) {
            told = number; memset(event, 0, sizeof *event); event->device = handle_of(device); event->type = 8; event->data = code;
            fclose(file);
            return OK;
        }
    if (file) fclose(file);
    return TIME_OUT;
}
