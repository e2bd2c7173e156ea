package audit

import (
	"context"
	"hash/maphash"
	"math"
	"slices"

	"github.com/sfbridge/bridge/cmd/bridge/internal/fold"
	"github.com/sfbridge/bridge/salesforce"
)

// partRows is how many records of a sample stand one behind the other: each part costs a
// call.
const partRows = 50

// sample compares some records of the org and some of the topic. Which ones of the org
// is decided before the topic is read, and so those of the topic are chosen by a hash of
// their ids: the fields of these alone are kept.
func (a *audit) sample(ctx context.Context) error {
	selection := salesforce.Selection{Form: a.Shape.Form()}
	n, err := a.Sampler.Count(ctx, selection)
	if err != nil {
		return a.reading(err)
	}
	ids, err := a.ofOrg(ctx, selection, n)
	if err != nil {
		return err
	}
	var chosen fold.IDSet
	for _, id := range ids {
		chosen.Add(id)
	}
	seed, below := maphash.MakeSeed(), share(2*a.Sample, n)
	drawn := func(id string) bool { return maphash.String(seed, id) <= below }
	if err := a.open(ctx, func(id string) bool { return chosen.Has(id) || drawn(id) }); err != nil {
		return err
	}
	rows, err := a.Reader.ByIDs(ctx, a.Shape.Form(), append(ids, a.ofTopic(drawn)...)) // each once
	if err != nil {
		return a.reading(err)
	}
	if err := a.eachRow(rows, func(row salesforce.Row) error { return a.examine(ctx, row) }); err != nil {
		return err
	}
	return a.recounted(ctx)
}

// uncounted is how many records there are at least of an object that takes Salesforce too
// long to count.
const uncounted = 1_000_000

// share is the hash that a part of all hashes lies below: n of many.
func share(n, many int) uint64 {
	if many < 0 {
		many = uncounted
	}
	if many <= n {
		return math.MaxUint64
	}
	return uint64(float64(math.MaxUint64) * float64(n) / float64(many))
}

// ofOrg draws ids of the org: some records behind each other in ranges that are drawn.
func (a *audit) ofOrg(ctx context.Context, selection salesforce.Selection, n int) ([]string, error) {
	parts := (a.Sample + partRows - 1) / partRows
	ranges := []salesforce.Range{{}}
	if n < 0 || n > a.Sample {
		var err error
		if ranges, err = a.Sampler.Ranges(ctx, selection, 4*parts); err != nil {
			return nil, a.reading(err)
		}
	}
	each := max(partRows, (a.Sample+len(ranges)-1)/len(ranges))
	var ids []string
	for len(ranges) > 0 && len(ids) < a.Sample {
		i := a.Draw(len(ranges))
		selection.Range = ranges[i]
		ranges = slices.Delete(ranges, i, i+1)
		part, err := a.first(ctx, selection, min(each, a.Sample-len(ids)))
		if err != nil {
			return nil, err
		}
		ids = append(ids, part...)
		a.Progress(Step{Doing: "drawing records of the org", Done: int64(len(ids)), Of: int64(a.Sample)})
	}
	return ids, nil
}

// first are the ids of the first rows of a selection.
func (a *audit) first(ctx context.Context, selection salesforce.Selection, most int) (ids []string, err error) {
	rows, err := a.Sampler.Query(ctx, selection)
	if err != nil {
		return nil, a.reading(err)
	}
	err = a.eachRow(&bounded{Rows: rows, left: most}, func(row salesforce.Row) error {
		ids = append(ids, row.ID)
		return nil
	})
	return ids, err
}

// ofTopic are ids of the topic out of those that were drawn, as many as a sample has.
func (a *audit) ofTopic(drawn func(id string) bool) (ids []string) {
	n := 0
	for id := range a.topic.IDs() {
		if !drawn(id) {
			continue
		}
		n++
		if len(ids) < a.Sample {
			ids = append(ids, id)
		} else if i := a.Draw(n); i < len(ids) { // so that all have the same chance
			ids[i] = id
		}
	}
	return ids
}

// recount asks the org how many records there are, if the topic has had another number.
func (a *audit) recount(ctx context.Context) error {
	if a.count.met {
		return nil
	}
	return a.recounted(ctx)
}

// recounted asks the org how many records there are. The topic has that number now, or
// comes to have it when it has got as far as the org was.
func (a *audit) recounted(ctx context.Context) error {
	n, err := a.Sampler.Count(ctx, salesforce.Selection{Form: a.Shape.Form()})
	if err != nil {
		return a.reading(err)
	}
	a.report.Org = n
	a.count.add(n)
	a.count.met = n < 0
	a.count.meet(a.topic.Len())
	return nil
}
