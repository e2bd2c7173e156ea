package salesforce

import (
	"context"
	"errors"
	"net/url"
	"time"
)

const (
	// changesWindow is how long a time one request may be about: 30 days, less what
	// rounding adds.
	changesWindow = 30*24*time.Hour - time.Minute
	// codeTooManyIDs: Salesforce names up to 600,000 records in a reply.
	codeTooManyIDs = "EXCEEDED_ID_LIMIT"
)

// Changes are the ids of records that were changed or deleted within a time.
type Changes struct {
	IDs     []string
	Deleted []Deletion
	// Covered is until when the answer is complete: later changes may be missing.
	// It is where the next question begins.
	Covered time.Time
	// Earliest is how far back Salesforce remembers deletions; zero if it did not say.
	// Of what was deleted before nothing is known.
	Earliest time.Time
}

// Deletion is a record that was deleted.
type Deletion struct {
	ID string
	At time.Time
}

// Updated asks which records of an object were made or changed from one time to
// another (REST API Developer Guide, "sObject Get Updated"). Salesforce cuts times
// to minutes, so that the question is rounded to a wider one.
func (r *Reader) Updated(ctx context.Context, object string, from, to time.Time) (Changes, error) {
	return r.changes(ctx, object, "updated", from, to)
}

// Deleted asks which records of an object were deleted from one time to another
// (REST API Developer Guide, "sObject Get Deleted"). Salesforce remembers some 15
// days, less if the recycle bin was emptied: see Changes.Earliest.
func (r *Reader) Deleted(ctx context.Context, object string, from, to time.Time) (Changes, error) {
	return r.changes(ctx, object, "deleted", from, to)
}

func (r *Reader) changes(ctx context.Context, object, what string, from, to time.Time) (Changes, error) {
	if !isObjectName(object) {
		return Changes{}, &ConfigError{Field: "object name", Problem: "is " + quote(object), Try: "letters, digits and underscores, such as Account or Invoice__c"}
	}
	from, end := from.UTC().Truncate(time.Minute), to.UTC().Truncate(time.Minute)
	if end.Before(to) {
		end = end.Add(time.Minute)
	}
	if !end.After(from) {
		return Changes{}, &ConfigError{Field: "to", Problem: "is not after from", Try: "a time that is not empty"}
	}
	var (
		all    Changes
		window = changesWindow
	)
	for from.Before(end) {
		upTo := from.Add(window)
		if upTo.After(end) {
			upTo = end
		}
		part, err := r.changesWithin(ctx, object, what, from, upTo)
		if half := (upTo.Sub(from) / 2).Truncate(time.Minute); tooMany(err) && half > 0 {
			window = half
			continue
		}
		if err != nil {
			return Changes{}, err
		}
		all.IDs = append(all.IDs, part.IDs...)
		all.Deleted = append(all.Deleted, part.Deleted...)
		all.Covered = part.Covered
		if all.Earliest.IsZero() {
			all.Earliest = part.Earliest
		}
		if part.Covered.Before(upTo) {
			break // what comes later is not complete either
		}
		from = upTo
	}
	return all, nil
}

// tooMany says whether a shorter time would have an answer.
func tooMany(err error) bool {
	var reply *ReplyError
	return isCode(err, codeTooManyIDs) || errors.As(err, &reply) && reply.Problem == problemTooLarge
}

func (r *Reader) changesWithin(ctx context.Context, object, what string, from, to time.Time) (Changes, error) {
	path := "/sobjects/" + object + "/" + what + "/?start=" + url.QueryEscape(from.Format(time.RFC3339)) + "&end=" + url.QueryEscape(to.Format(time.RFC3339))
	attempt := attempts{reader: r}
	for {
		var reply struct {
			IDs     []string `json:"ids"`
			Deleted []struct {
				ID string   `json:"id"`
				At restTime `json:"deletedDate"`
			} `json:"deletedRecords"`
			Covered  *restTime `json:"latestDateCovered"`
			Earliest restTime  `json:"earliestDateAvailable"`
		}
		err := r.json(ctx, call{method: "GET", path: path, accept: acceptJSON}, &reply)
		if err == nil && reply.Covered == nil {
			err = &ReplyError{Path: path, Status: 200, Problem: "latestDateCovered is missing"}
		}
		if err == nil {
			part := Changes{IDs: reply.IDs, Covered: reply.Covered.Time, Earliest: reply.Earliest.Time}
			for _, d := range reply.Deleted {
				part.Deleted = append(part.Deleted, Deletion{ID: d.ID, At: d.At.Time})
			}
			return part, nil
		}
		if err := attempt.failed(ctx, err); err != nil {
			return Changes{}, err
		}
	}
}

// restTime reads the times of the REST API, which end in +0000.
type restTime struct{ time.Time }

func (t *restTime) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		return nil
	}
	if len(text) < 2 || text[0] != '"' {
		return errors.New("a time is not a text")
	}
	var err error
	t.Time, err = parseDateTime(text[1 : len(text)-1])
	return err
}
