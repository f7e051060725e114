#include "ctl/fleet_table.h"

#include <string.h>

/* The fields of one line; the last takes the rest, missing ones are "-". */
static void parse_row(const char *line, size_t len, struct columns *out)
{
    const char *end = line + len;

    for (int c = 0; c < FLEET_COLUMNS; c++) {
        while (line < end && *line == ' ')
            line++;
        size_t n = 0;
        while (line + n < end && (line[n] != ' ' || c + 1 == FLEET_COLUMNS))
            n++;
        _cleanup_free_ char *cell = n ? xstrndup(line, n) : NULL;
        columns_add(out, cell);
        line += n;
    }
}

void fleet_table_parse(const char *text, struct fleet_table *ret)
{
    ret->columns.ncolumns = FLEET_COLUMNS;
    while (*text) {
        size_t len = strcspn(text, "\n");
        if (*text == '#') {
            buf_add(&ret->notes, text, len);
            buf_addc(&ret->notes, '\n');
        } else if (len) {
            parse_row(text, len, &ret->columns);
        }
        text += len + (text[len] == '\n');
    }
}

void fleet_table_done(struct fleet_table *t)
{
    columns_done(&t->columns);
    buf_done(&t->notes);
}

size_t fleet_table_sites(const struct fleet_table *t)
{
    size_t rows = t->columns.n / FLEET_COLUMNS;

    return rows ? rows - 1 : 0;
}

const char *fleet_table_cell(const struct fleet_table *t, size_t i, enum fleet_column c)
{
    return t->columns.v[(i + 1) * FLEET_COLUMNS + c];
}
