package schemas

import (
	"context"
	"sync"
)

// flight computes a value once per key for many callers and keeps it. The
// caller that comes first does the work on its own goroutine and with its own
// context; should that context end, the next one waiting takes over, so that a
// caller that gives up never fails the others.
type flight[K comparable, V any] struct {
	mu      sync.Mutex
	kept    map[K]outcome[V]
	running map[K]*call[V]
}

type outcome[V any] struct {
	value V
	err   error
}

type call[V any] struct {
	done chan struct{}
	outcome[V]
	abandoned bool // the leader's context ended: its error is nobody else's
}

// do returns the kept outcome of key or has work make it. keepErr says which
// errors are kept for good; others are shared with those who wait now and then
// forgotten.
func (f *flight[K, V]) do(ctx context.Context, key K, keepErr func(error) bool, work func(context.Context) (V, error)) (V, error) {
	for {
		f.mu.Lock()
		if o, ok := f.kept[key]; ok {
			f.mu.Unlock()
			return o.value, o.err
		}
		c, ok := f.running[key]
		if !ok {
			c = f.start(key)
			f.mu.Unlock()
			return f.lead(ctx, key, c, keepErr, work)
		}
		f.mu.Unlock()

		select {
		case <-c.done:
			if !c.abandoned {
				return c.value, c.err
			}
		case <-ctx.Done():
			var zero V
			return zero, ctx.Err()
		}
	}
}

func (f *flight[K, V]) start(key K) *call[V] {
	if f.running == nil {
		f.kept = make(map[K]outcome[V])
		f.running = make(map[K]*call[V])
	}
	c := &call[V]{done: make(chan struct{}), abandoned: true}
	f.running[key] = c
	return c
}

// lead does the work. The deferred part also runs if work panics: those who
// wait then try themselves instead of hanging.
func (f *flight[K, V]) lead(ctx context.Context, key K, c *call[V], keepErr func(error) bool, work func(context.Context) (V, error)) (V, error) {
	defer func() {
		f.mu.Lock()
		delete(f.running, key)
		if !c.abandoned && (c.err == nil || keepErr(c.err)) {
			f.kept[key] = c.outcome
		}
		f.mu.Unlock()
		close(c.done)
	}()
	value, err := work(ctx)
	c.value, c.err = value, err
	c.abandoned = err != nil && ctx.Err() != nil
	return value, err
}

// put keeps a value for key, in place of any other.
func (f *flight[K, V]) put(key K, value V) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running == nil {
		f.kept = make(map[K]outcome[V])
		f.running = make(map[K]*call[V])
	}
	f.kept[key] = outcome[V]{value: value}
}

// forget drops what is kept for key.
func (f *flight[K, V]) forget(key K) {
	f.mu.Lock()
	delete(f.kept, key)
	f.mu.Unlock()
}
