/* What a process asks of callgrind: to count from now on, and to write down what it has counted.
 * Where valgrind does not run the process, the calls do nothing. */

#include <valgrind/callgrind.h>

int counted(void)
{
    return RUNNING_ON_VALGRIND;
}

void begin(void)
{
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

void toggle(void)
{
    CALLGRIND_TOGGLE_COLLECT;
}

void write_down(const char *name)
{
    CALLGRIND_DUMP_STATS_AT(name);
}
