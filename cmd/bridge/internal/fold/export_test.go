package fold

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Fetched folds what a client has fetched.
func (f *Fold) Fetched(ctx context.Context, fetches kgo.Fetches) error {
	return f.takeAll(ctx, fetches, make(map[place]int64))
}

// Text shows a row: its fields in the order of names.
func (r *Row) Text(f *Fold) string {
	fields := make(map[string]string)
	for _, cell := range r.cells {
		number := uint16(cell >> sumBits) //nolint:gosec // 16 bits are left
		text := "?"
		if cell&sumMask != unknown {
			text = string(r.values[number])
		}
		fields[f.names.texts[number]] = text
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		out = append(out, fmt.Sprintf("%s=%s", name, fields[name]))
	}
	if r.vague {
		out = append(out, "(the rest ?)")
	}
	return strings.Join(out, " ")
}

// Fields is how many fields have a value.
func (r *Row) Fields() int { return len(r.cells) }
