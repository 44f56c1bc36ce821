/*
 * Digests, by OpenSSL's EVP: the functions named MD5_* are deprecated since 3.0. A context is made
 * once and used again where it can be, because EVP fetches the algorithm for each new one, which
 * is dear next to the digest of a short key.
 */
#include "common/md5.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct md5 {
    EVP_MD_CTX *context;
    bool failed; /* some step has; md5_finish() tells */
};

/* The algorithm, fetched once: EVP_md5() is looked up again for each digest that begins (two locks
 * and a walk through the providers, as dear as the digest of 1 KiB). Never freed. NULL where it
 * cannot be had. */
static EVP_MD *fetched;
static pthread_once_t fetched_once = PTHREAD_ONCE_INIT;

static void fetch(void)
{
    fetched = EVP_MD_fetch(NULL, "MD5", NULL);
}

struct md5 *md5_new(void)
{
    (void)pthread_once(&fetched_once, fetch);
    struct md5 *md5 = calloc(1, sizeof *md5);
    if (!md5)
        return NULL;
    md5->context = EVP_MD_CTX_new();
    if (!fetched || !md5->context || EVP_DigestInit_ex(md5->context, fetched, NULL) != 1) {
        md5_free(md5);
        return NULL;
    }
    return md5;
}

void md5_free(struct md5 *md5)
{
    if (!md5)
        return;
    EVP_MD_CTX_free(md5->context);
    free(md5);
}

/* No result that every caller would have to look at: the failure waits for the end. */
void md5_update(struct md5 *md5, const void *data, size_t len)
{
    if (EVP_DigestUpdate(md5->context, data, len) != 1)
        md5->failed = true;
}

enum status md5_finish(struct md5 *md5, unsigned char digest[MD5_SIZE])
{
    if (EVP_DigestFinal_ex(md5->context, digest, NULL) != 1)
        md5->failed = true;
    return md5->failed ? ST_INTERNAL : ST_OK;
}

/* Placement digests several names a request, so each thread keeps a context; it is freed when the
 * thread ends. */
static _Thread_local struct md5 *kept;
static pthread_key_t kept_key; /* only for its destructor: a _Thread_local has none */
static pthread_once_t kept_once = PTHREAD_ONCE_INIT;
static bool kept_key_made; /* written under kept_once */

static void free_kept(void *md5)
{
    md5_free(md5);
}

static void make_key(void)
{
    kept_key_made = pthread_key_create(&kept_key, free_kept) == 0;
}

/* This thread's context, at its first digest. */
static bool make_kept(void)
{
    (void)pthread_once(&kept_once, make_key);
    kept = md5_new();
    /* Without a key the context is only not freed at the thread's end. */
    if (kept && kept_key_made)
        (void)pthread_setspecific(kept_key, kept);
    return kept != NULL;
}

enum status md5_pair(const void *a, size_t a_len, const void *b, size_t b_len,
                     unsigned char digest[MD5_SIZE])
{
    if (!kept && !make_kept())
        return ST_NO_MEMORY;
    /* NULL keeps the algorithm that was fetched at the first use. */
    kept->failed = EVP_DigestInit_ex(kept->context, NULL, NULL) != 1;
    md5_update(kept, a, a_len);
    if (b_len)
        md5_update(kept, b, b_len);
    return md5_finish(kept, digest);
}

void md5_hex(const unsigned char digest[MD5_SIZE], char hex[MD5_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < MD5_SIZE; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[MD5_HEX] = 0;
}

/* Upper case is taken too: some clients send it, and the index has lower case only. */
static int parse_hex(const char *text, char hex[MD5_HEX + 1])
{
    for (size_t i = 0; i < MD5_HEX; i++) {
        char c = text[i];
        if (c >= 'A' && c <= 'F')
            c = (char)(c - 'A' + 'a');
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return -1;
        hex[i] = c;
    }
    hex[MD5_HEX] = 0;
    return 0;
}

int md5_parse(const char *text, char hex[MD5_HEX + 1])
{
    size_t len = strlen(text);
    if (len == MD5_HEX)
        return parse_hex(text, hex);
    /* 16 bytes are 24 characters of base64, the last two of them padding. */
    if (len != 24 || strcspn(text, "=") != 22 || text[23] != '=')
        return -1;
    /* EVP_DecodeBlock counts the padding as bytes, so it gives 18 for the 16 there are. */
    unsigned char digest[18];
    if (EVP_DecodeBlock(digest, (const unsigned char *)text, 24) != 18)
        return -1;
    md5_hex(digest, hex);
    return 0;
}
