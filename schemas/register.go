package schemas

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"
)

// maxLines bounds how many subjects are tried for one schema.
const maxLines = 100

// Error codes of the registry (Confluent Schema Registry API, "Errors").
const (
	codeNoSubject = 40401
	codeNoVersion = 40402
	codeNoSchema  = 40403
)

// Registered says where a schema is in the registry.
type Registered struct {
	Subject string
	Version int // within the subject; 0 if it is not known
	ID      int
	// Schema is what is registered there, as [ParseRegistered] makes it; nil
	// where it was not asked for.
	Schema *Schema
}

// Register makes sure that s is registered under subject and returns its id in
// the registry, above 0. A version that differs in docs alone is s: labels, the
// moment and who registered do not make versions. Otherwise s is registered, and
// the registry itself compares it with the subject's earlier ones. Ids are
// remembered: the registry is asked once for each subject and schema. Failures are
// not remembered. That the id stands for this schema is looked up before it is
// believed.
//
// With [RegistryConfig.Describer] what is registered has docs, see [Registry.Documented].
//
// With [RegistryConfig.NewSubject] a schema that the subject refuses goes under
// <subject>-v2, -v3 and so on: to the first that accepts it, if none of those that
// there are has it. So the same schema has the same subject after a restart and in
// every instance, and the compatible successors of a schema follow it into its
// subject.
//
// Errors: [*IncompatibleError], [*NotRegisteredError], [*RegistryError], and
// ctx's own error for a caller that gave up waiting for another's request.
func (r *Registry) Register(ctx context.Context, subject string, s *Schema) (int, error) {
	key := registration{subject, s.Fingerprint}
	never := func(error) bool { return false }
	return r.flight.do(ctx, key, never, func(ctx context.Context) (int, error) {
		id, err := r.settle(ctx, subject, s)
		if err == nil {
			err = r.verify(ctx, subject, s, id)
		}
		return id, err
	})
}

// settle finds the id that s has, or gives it one.
func (r *Registry) settle(ctx context.Context, subject string, s *Schema) (int, error) {
	if r.lookUpOnly {
		at, err := r.Lookup(ctx, subject, s)
		return at.ID, err
	}
	at, err := r.find(ctx, subject, s)
	if at.ID > 0 || err != nil && !mayNotLook(err) {
		return at.ID, err
	}
	documented, err := r.documented(ctx, s)
	if err != nil {
		return 0, err
	}
	return r.add(ctx, subject, documented)
}

// mayNotLook says whether a registry lets nobody look, or not us. What it lets us
// register is another question.
func mayNotLook(err error) bool {
	refused, ok := errors.AsType[*RegistryError](err)
	return ok && (refused.Status == http.StatusUnauthorized || refused.Status == http.StatusForbidden || refused.Status == http.StatusMethodNotAllowed)
}

// add registers s under subject, or the first that follows it and takes it.
func (r *Registry) add(ctx context.Context, subject string, s *Schema) (int, error) {
	id, err := r.post(ctx, subject, s)
	if _, refused := errors.AsType[*IncompatibleError](err); !refused || !r.newSubject {
		return id, err
	}
	for n := 2; n <= maxLines; n++ {
		id, again := r.post(ctx, line(subject, n), s)
		if _, refused := errors.AsType[*IncompatibleError](again); !refused {
			return id, again
		}
	}
	return 0, err
}

// line is the n-th subject for schemas that the ones before it refuse.
func line(subject string, n int) string {
	if n == 1 {
		return subject
	}
	return fmt.Sprintf("%s-v%d", subject, n)
}

// isLine says whether a subject is one of those that stand for subject.
func isLine(subject, candidate string) bool {
	for n := 1; n <= maxLines; n++ {
		if line(subject, n) == candidate {
			return true
		}
	}
	return false
}

// post registers s under one subject.
func (r *Registry) post(ctx context.Context, subject string, s *Schema) (int, error) {
	id, err := r.client.RegisterSchema(ctx, subject, wire(s), -1, -1)
	if err != nil {
		if resp, ok := errors.AsType[*sr.ResponseError](err); ok && resp.StatusCode == http.StatusConflict {
			return 0, r.incompatible(ctx, subject, s, resp)
		}
		return 0, registryError("register under", subject, err)
	}
	return id, usable("register under", subject, id)
}

func wire(s *Schema) sr.Schema {
	typ := sr.TypeAvro
	if s.TextType == JSONSchemaText {
		typ = sr.TypeJSON
	}
	return sr.Schema{Schema: string(s.JSON), Type: typ}
}

func usable(doing, subject string, id int) error {
	if id > 0 && id <= math.MaxInt32 {
		return nil
	}
	return &RegistryError{
		Doing: doing, Subject: subject, Status: http.StatusOK,
		Detail: fmt.Sprintf("the answer has no usable schema id (%d)", id),
		Hint:   "check that the url is that of a schema registry with Confluent's api",
	}
}

// incompatible explains a refusal by what is different from the subject's
// latest schema. If that cannot be had right now the refusal is told later.
func (r *Registry) incompatible(ctx context.Context, subject string, s *Schema, resp *sr.ResponseError) error {
	e := &IncompatibleError{Subject: subject, Schema: s.FullName, SchemaID: s.ID, Detail: detailOf(resp)}
	latest, err := r.Latest(ctx, subject)
	if err != nil && Retryable(err) {
		return err
	}
	e.Version, e.RegistryID = latest.Version, latest.ID
	if err == nil {
		e.Changes, err = r.changes(latest.Schema, s)
		e.Changes = e.Changes.Structural()
	}
	e.Unread = err
	return e
}

// parsed is what the registry has. Of a JSON Schema there is the text alone.
func parsed(text sr.Schema) (*Schema, error) {
	if text.Type == sr.TypeJSON {
		return &Schema{JSON: []byte(text.Schema), TextType: JSONSchemaText}, nil
	}
	return ParseRegistered([]byte(text.Schema))
}

// parsedAs is parsed of what should be the same as s, which may be one of keys.
func parsedAs(s *Schema, text sr.Schema) (*Schema, error) {
	if s.isKey() && text.Type == sr.TypeAvro {
		return parseKey([]byte(text.Schema))
	}
	return parsed(text)
}

// changes compares a schema with a registered one, as the registry would see it.
func (*Registry) changes(registered, s *Schema) (Changes, error) {
	if s.TextType == JSONSchemaText || s.isKey() {
		return Diff(registered, s), nil
	}
	now, err := ParseRegistered(s.JSON)
	if err != nil {
		return nil, err
	}
	return Diff(registered, now), nil
}

// verify looks up what the registry has under an id that it gave for s: a wrong
// id would make every record unreadable, or worse. A registry that lets nobody
// look is believed.
func (r *Registry) verify(ctx context.Context, subject string, s *Schema, id int) error {
	const doing = "look up what was registered under"
	text, err := r.client.SchemaByID(ctx, id)
	if resp, ok := errors.AsType[*sr.ResponseError](err); ok {
		switch resp.StatusCode {
		case http.StatusForbidden, http.StatusUnauthorized, http.StatusMethodNotAllowed:
			return nil
		case http.StatusNotFound:
			return &RegistryError{
				Doing: doing, Subject: subject, Status: http.StatusOK,
				Detail: fmt.Sprintf("it answered with the schema id %d and does not know that id: %s", id, detailOf(resp)),
			}
		}
	}
	if err != nil {
		return registryError(doing, subject, err)
	}
	registered, err := parsedAs(s, text)
	var diff Changes
	if err == nil {
		diff, err = r.changes(registered, s)
		diff = diff.Structural()
	}
	if err == nil && len(diff) == 0 {
		return nil
	}
	why := "which is that of another schema: " + diff.most(mostChanges)
	if err != nil { // not wrapped: it is not the event's schema that is unusable
		why = fmt.Sprintf("and what it has under that id cannot be read: %v", err)
	}
	return &RegistryError{
		Doing: doing, Subject: subject, Status: http.StatusOK,
		Detail: fmt.Sprintf("it answered with the schema id %d, %s", id, why),
		Hint:   "check that all urls are of one registry, and no cache answers in its place",
	}
}

// registryError gives the client library's error our types.
func registryError(doing, subject string, err error) error {
	resp, ok := errors.AsType[*sr.ResponseError](err)
	if !ok {
		e := &RegistryError{Doing: doing, Subject: subject, Err: err}
		if strings.Contains(err.Error(), "unable to decode ok response body") {
			// The library has no type for it. What came with status 200 was not
			// JSON: a proxy's or a login page, most often.
			e.Status = http.StatusOK
			e.Hint = "check that the url is that of a schema registry with Confluent's api, and no proxy answers in its place"
		}
		return e
	}
	return &RegistryError{
		Doing: doing, Subject: subject, Status: resp.StatusCode, Code: resp.ErrorCode,
		Detail: detailOf(resp), Hint: registryHint(resp),
	}
}

// detailOf is what the registry said.
func detailOf(resp *sr.ResponseError) string {
	if detail := strings.ToValidUTF8(resp.Message, "?"); detail != "" {
		return detail
	}
	return snippet(resp.Raw)
}

func registryHint(resp *sr.ResponseError) string {
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return "check the registry's username and password, or its bearer token"
	case http.StatusForbidden:
		return "grant the registry user write access to the subject"
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return "check the path of the registry's url (Apicurio serves Confluent's api under /apis/ccompat/v7)"
	case http.StatusUnprocessableEntity:
		if resp.ErrorCode == 42205 {
			return "the subject or the registry is in read-only mode; set its mode to READWRITE"
		}
		return "the registry does not accept the schema's text"
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return "the registry redirects; configure the url that it redirects to"
	}
	return ""
}
