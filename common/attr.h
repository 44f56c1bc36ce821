/* Compiler attributes, under names that say what they are for. */
#ifndef LARDER_COMMON_ATTR_H
#define LARDER_COMMON_ATTR_H

/* The result says whether it worked: a caller that drops it is a bug. */
#define MUST_CHECK __attribute__((warn_unused_result))

/* Checked like printf: the format is argument f, its values begin at argument a. */
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* A parameter that the type of a callback demands and this one has no use for. */
#define UNUSED __attribute__((unused))

#endif
