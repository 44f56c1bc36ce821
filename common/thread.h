/* A thread of our own: signals are left to the main thread, waits go by the monotonic clock. */
#ifndef LARDER_COMMON_THREAD_H
#define LARDER_COMMON_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "common/attr.h"

/* Starts `run(arg)` with all signals blocked. False: there are too many threads. */
bool thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg) MUST_CHECK;

/* A condition that thread_wait() can wait for. */
void thread_condition_init(pthread_cond_t *condition);
/* Waits for a signal, but not beyond `until`. False: the time is up. */
bool thread_wait(pthread_cond_t *condition, pthread_mutex_t *lock, const struct timespec *until);
/* The time `ms` milliseconds from now. */
struct timespec thread_time(unsigned ms);

#endif
