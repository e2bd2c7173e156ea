package replay

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Estate is what the topic holds of orgs that it belonged to before: a refreshed
// sandbox is another org than the one whose positions it finds.
type Estate struct {
	Orgs    []string // their ids, in order
	Entries []Entry  // their positions, by channel
	deletes []*kgo.Record
}

// Tombstones returns the records that delete all of it: positions, and what was
// kept beside them. They are to be committed together with what takes its place.
func (e *Estate) Tombstones() []*kgo.Record { return e.deletes }

// Inherit opens the topic as [Open] does, and finds the estate of other orgs where
// Open gives an [*OtherOrgError]. As long as there is some, Load, All and whatever
// else reads refuse.
func Inherit(ctx context.Context, cfg Config) (*Store, *Estate, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	estate := &Estate{}
	s, err := connect(ctx, cfg, "opening the position topic", func(s *Store, ctx context.Context) error {
		if err := s.verifyTopic(ctx); err != nil {
			return err
		}
		orgs := make(map[string]bool)
		for lane := range int32(s.cfg.Lanes) { //nolint:gosec // lanes are at most 10000
			if err := s.gather(ctx, lane, estate, orgs); err != nil {
				return err
			}
		}
		estate.Orgs = slices.Sorted(maps.Keys(orgs))
		slices.SortFunc(estate.Entries, func(a, b Entry) int { return strings.Compare(a.Key.String(), b.Key.String()) })
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return s, estate, nil
}

// gather adds what a lane holds of other orgs.
func (s *Store) gather(ctx context.Context, lane int32, into *Estate, orgs map[string]bool) error {
	last, err := s.latest(ctx, lane)
	if err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(last)) {
		r := last[key]
		_, _, err := s.decodeRecord(lane, r)
		other, foreign := errors.AsType[*OtherOrgError](err)
		if !foreign {
			if err != nil {
				return err
			}
			continue
		}
		orgs[other.Found] = true
		into.deletes = append(into.deletes, &kgo.Record{Topic: s.cfg.Topic, Partition: lane, Key: r.Key})
		if k, err := ParseKey(key); err == nil {
			e, err := decodeEntry(k, r.Value)
			if err != nil {
				return &UnreadableError{Topic: s.cfg.Topic, Partition: lane, Offset: r.Offset, Key: shorten(r.Key), Err: err}
			}
			into.Entries = append(into.Entries, e)
		}
	}
	return nil
}
