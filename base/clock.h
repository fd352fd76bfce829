#pragma once
/* Time. Any thread. */
#include <stdint.h>

uint64_t clock_now_us(void); /* monotonic */
int64_t clock_unix_ms(void); /* wall clock */
int64_t clock_unix_ns(void); /* wall clock */
