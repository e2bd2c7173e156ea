package schemas

import (
	"context"
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/sr"
)

// Lookup says where s is registered, under subject or, with
// [RegistryConfig.NewSubject], one of those that follow it. A version that differs
// in docs alone is s. It registers nothing. Errors: [*NotRegisteredError],
// [*RegistryError].
func (r *Registry) Lookup(ctx context.Context, subject string, s *Schema) (Registered, error) {
	at, err := r.find(ctx, subject, s)
	if err == nil && at.ID == 0 {
		err = r.notRegistered(ctx, subject, s)
	}
	return at, err
}

// find is Lookup with the zero value for a schema that is nowhere.
func (r *Registry) find(ctx context.Context, subject string, s *Schema) (Registered, error) {
	last := 1
	if r.newSubject {
		last = maxLines
	}
	for n := 1; n <= last; n++ {
		at, err := r.findUnder(ctx, line(subject, n), s)
		if errors.Is(err, errNoSubject) {
			return Registered{}, nil // nor are there any behind it
		}
		if err != nil || at.ID > 0 {
			return at, err
		}
	}
	return Registered{}, nil
}

// errNoSubject says that a subject does not exist.
var errNoSubject = errors.New("no such subject")

// findUnder finds s under one subject. Its text is asked for first, except where
// what we register has docs and is another text.
func (r *Registry) findUnder(ctx context.Context, subject string, s *Schema) (Registered, error) {
	if r.docs.describer != nil {
		return r.sameRecords(ctx, subject, s)
	}
	const doing = "look up a schema under"
	at, err := r.client.LookupSchema(ctx, subject, wire(s))
	if err == nil {
		return Registered{Subject: subject, Version: at.Version, ID: at.ID}, usable(doing, subject, at.ID)
	}
	if codeOf(err) == codeNoSchema {
		return r.sameRecords(ctx, subject, s)
	}
	return Registered{}, lookupError(doing, subject, err)
}

func lookupError(doing, subject string, err error) error {
	if codeOf(err) == codeNoSubject {
		return errNoSubject
	}
	return registryError(doing, subject, err)
}

// codeOf is the registry's error_code, 0 if it gave none.
func codeOf(err error) int {
	if resp, ok := errors.AsType[*sr.ResponseError](err); ok {
		return resp.ErrorCode
	}
	return 0
}

// sameRecords finds the newest version of a subject that describes the same
// records in another text: with other white space or docs. Some registries look a
// schema up by its very text.
func (r *Registry) sameRecords(ctx context.Context, subject string, s *Schema) (Registered, error) {
	versions, err := r.client.SubjectVersions(ctx, subject)
	if err != nil {
		return Registered{}, lookupError(readVersions, subject, err)
	}
	slices.Sort(versions)
	never := func(error) bool { return false }
	for _, v := range slices.Backward(versions) {
		// What is known is kept, so that a registry that limits requests is
		// asked less with every try.
		key := comparison{registration{subject, s.Fingerprint}, v}
		at, err := r.compared.do(ctx, key, never, func(ctx context.Context) (Registered, error) {
			return r.compare(ctx, subject, v, s)
		})
		if err != nil || at.ID > 0 {
			return at, err
		}
	}
	return Registered{}, nil
}

const readVersions = "read the versions of"

// compare says where s is if a version describes the same records, and is the zero
// value if it does not.
func (r *Registry) compare(ctx context.Context, subject string, version int, s *Schema) (Registered, error) {
	at, err := r.client.SchemaByVersion(ctx, subject, version)
	if codeOf(err) == codeNoVersion {
		return Registered{}, nil // it was deleted meanwhile
	}
	if err != nil {
		return Registered{}, registryError(readVersions, subject, err)
	}
	registered, err := parsedAs(s, at.Schema)
	if err != nil {
		return Registered{}, nil //nolint:nilerr // what we cannot read is not ours
	}
	diff, err := r.changes(registered, s)
	if err != nil || len(diff.Structural()) > 0 {
		return Registered{}, nil //nolint:nilerr // nor is what cannot be compared
	}
	return Registered{Subject: subject, Version: at.Version, ID: at.ID, Schema: registered}, usable(readVersions, subject, at.ID)
}

// notRegistered says what is registered in place of s, as far as that is known.
func (r *Registry) notRegistered(ctx context.Context, subject string, s *Schema) error {
	e := &NotRegisteredError{Subject: subject, Schema: s.FullName, SchemaID: s.ID}
	latest, err := r.Latest(ctx, subject)
	if err == nil {
		e.Version, e.RegistryID = latest.Version, latest.ID
		e.Changes, err = r.changes(latest.Schema, s)
		e.Changes = e.Changes.Structural()
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return e
}

// Latest returns the newest schema of a subject. A subject without one is a
// [*NotRegisteredError]; a text that cannot be read a [*SchemaError], beside
// which version and id are returned; anything else a [*RegistryError].
func (r *Registry) Latest(ctx context.Context, subject string) (Registered, error) {
	at, err := r.client.SchemaByVersion(ctx, subject, -1)
	if err != nil {
		if resp, ok := errors.AsType[*sr.ResponseError](err); ok && (resp.ErrorCode == codeNoSubject || resp.ErrorCode == codeNoVersion) {
			return Registered{}, &NotRegisteredError{Subject: subject}
		}
		return Registered{}, registryError("read the latest schema of", subject, err)
	}
	out := Registered{Subject: subject, Version: at.Version, ID: at.ID}
	out.Schema, err = parsed(at.Schema)
	return out, err
}

// LatestLine is Latest of the last of the subjects that stand for subject: with
// [RegistryConfig.NewSubject] there may be several.
func (r *Registry) LatestLine(ctx context.Context, subject string) (Registered, error) {
	found, err := r.Latest(ctx, subject)
	for n := 2; r.newSubject && n <= maxLines; n++ {
		next, nextErr := r.Latest(ctx, line(subject, n))
		if _, none := errors.AsType[*NotRegisteredError](nextErr); none {
			break
		}
		found, err = next, nextErr
	}
	return found, err
}

// Locate returns the subject and version of an id that was given for a subject:
// the subject may be one of those that follow it. Without an error and without
// a subject, the registry has the id elsewhere only.
func (r *Registry) Locate(ctx context.Context, subject string, id int) (Registered, error) {
	versions, err := r.client.SchemaVersionsByID(ctx, id)
	if err != nil {
		return Registered{}, registryError("ask for the version under", subject, err)
	}
	found := Registered{ID: id}
	for _, v := range versions {
		if isLine(subject, v.Subject) && (found.Subject == "" || len(v.Subject) < len(found.Subject)) {
			found.Subject, found.Version = v.Subject, v.Version
		}
	}
	return found, nil
}
