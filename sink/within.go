package sink

import "context"

// within is what call returns, or the end of ctx, whichever comes first.
//
// The client's calls keep to their context once it is their turn at a broker.
// Behind a request that waits for a quota they wait for as long as it does, which
// may be minutes. What is left behind ends with the client, and Close waits for it.
func within[T any](ctx context.Context, p *Producer, call func(context.Context) (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	p.calls.Go(func() {
		v, err := call(ctx)
		done <- result{v, err}
	})
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
