#include "pack_fixture.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"

/* A history in which a file changes sixty times and a tree has a hundred entries; in it are an
 * empty blob, a tag and a blob that is larger than any buffer. */
static const char make_history[] =
    "git init -q --bare repo.git && cd repo.git\n"
    "python3 - <<'END' | git fast-import --quiet\n"
    "import random, sys\n"
    "r = random.Random(1)\n"
    "out = sys.stdout.buffer\n"
    "def data(b): out.write(b'data %%d\\n' %% len(b) + b + b'\\n')\n"
    "lines = [b'line %%d %%d\\n' %% (i, r.getrandbits(64)) for i in range(400)]\n"
    "for n in range(60):\n"
    "    out.write(b'commit refs/heads/main\\ncommitter T <t@t> %%d +0000\\n' %% (1000 + n))\n"
    "    data(b'revision %%d' %% n)\n"
    "    lines[r.randrange(400)] = b'changed in %%d %%d\\n' %% (n, r.getrandbits(64))\n"
    "    out.write(b'M 644 inline grows\\n')\n"
    "    data(b''.join(lines))\n"
    "    if n == 0:\n"
    "        for i in range(100):\n"
    "            out.write(b'M 644 inline dir/file-%%d\\n' %% i)\n"
    "            data(b'file %%d\\n' %% i)\n"
    "        out.write(b'M 644 inline empty\\n')\n"
    "        data(b'')\n"
    "        out.write(b'M 644 inline large\\n')\n"
    "        data(r.randbytes(700000) + bytes(700000))\n"
    "out.write(b'tag v1\\nfrom refs/heads/main\\ntagger T <t@t> 2000 +0000\\n')\n"
    "data(b'a tag')\n"
    "END\n";

int packed_setup(void **state)
{
    struct packed *f = NEW(struct packed);

    f->dir = test_dir_new();
    test_run(f->dir, make_history);
    f->path = xasprintf("%s/repo.git", f->dir);
    *state = f;
    return 0;
}

int packed_teardown(void **state)
{
    struct packed *f = *state;

    packs_free(f->packs);
    test_dir_free(f->dir);
    free(f->path);
    free(f);
    return 0;
}

void packed_repack(struct packed *f, bool by_offset)
{
    test_run(f->path,
             "git -c repack.useDeltaBaseOffset=%s repack -q -adf --depth=70 --window=80\n"
             "git verify-pack -v objects/pack/*.idx | grep -q 'chain length = 5[0-9]'",
             by_offset ? "true" : "false");
}

void packed_open(struct packed *f, size_t bases)
{
    _cleanup_free_ char *objects = xasprintf("%s/objects", f->path);

    packs_free(f->packs);
    f->packs = packs_new(objects, bases);
}

int packed_read(struct packs *packs, const struct oid *oid, uint64_t most, git_object_t *ret_type,
                void **ret, size_t *ret_size)
{
    struct unpacked o;
    int r = packs_read(packs, &(struct packed_copy){oid}, most, &o);

    if (r < 0)
        return r;
    *ret_type = o.type;
    *ret = o.data;
    *ret_size = o.size;
    return 0;
}

int packed_spill(struct packs *packs, const struct oid *oid, const char *dir, char **ret,
                 size_t *ret_size)
{
    _cleanup_free_ char *path = xasprintf("%s/spilled", dir);
    _cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    _cleanup_(buf_done) struct buf content = {0};
    struct unpacked o;

    assert_true(fd >= 0);
    int r = packs_spill(packs, &(struct packed_copy){oid}, dir, fd, &o);
    if (r < 0)
        return r;
    assert_int_equal(io_read_fd(fd, SIZE_MAX / 2, &content), 0);
    assert_int_equal(content.len, o.size);
    *ret_size = o.size;
    *ret = buf_take(&content);
    return 0;
}
