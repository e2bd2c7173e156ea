package orgsim

import (
	"sync"
	"time"
)

// rolling counts what happened within the last len(buckets) times width, by
// the org's clock, to the precision of one width.
type rolling struct {
	mu      sync.Mutex
	width   time.Duration
	buckets []int64
	at      int64 // number of the newest bucket
	sum     int64
	peak    int64
}

func newRolling(window time.Duration, buckets int) *rolling {
	return &rolling{width: window / time.Duration(buckets), buckets: make([]int64, buckets)}
}

// roll drops what is too old.
func (r *rolling) roll(now time.Time) {
	at := now.UnixNano() / int64(r.width)
	for n := int64(len(r.buckets)); r.at < at && n > 0; n-- {
		r.at++
		i := r.at % int64(len(r.buckets))
		r.sum -= r.buckets[i]
		r.buckets[i] = 0
	}
	r.at = max(r.at, at)
}

func (r *rolling) add(now time.Time, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roll(now)
	r.buckets[r.at%int64(len(r.buckets))] += n
	r.sum += n
	r.peak = max(r.peak, r.sum)
}

func (r *rolling) total(now time.Time) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.roll(now)
	return r.sum
}

func (r *rolling) highest() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peak
}

// Values of Config.DailyLimitOn.
const (
	LimitOnConnect   = "connect"
	LimitOnSubscribe = "subscribe"
	LimitOnBoth      = "both"
)

// allowance is how many events may still be delivered today.
func (o *Org) allowance() int {
	if o.cfg.DailyDeliveries <= 0 {
		return int(^uint(0) >> 1)
	}
	return max(0, o.cfg.DailyDeliveries-int(o.deliveries.total(o.now())))
}

// exhausted reports whether requests on a channel are refused because the
// daily delivery allocation is used up (Platform Events guide, allocations).
func (o *Org) exhausted(channel string) bool {
	if o.cfg.DailyDeliveries <= 0 || channel == onConnect && o.cfg.DailyLimitOn == LimitOnSubscribe || channel == onSubscribe && o.cfg.DailyLimitOn == LimitOnConnect {
		return false
	}
	return o.allowance() == 0
}

// limits is the limits resource.
func (o *Org) limits() map[string]any {
	entry := func(limit, used int64) map[string]int64 {
		return map[string]int64{"Max": limit, "Remaining": max(0, limit-used)}
	}
	s := o.Stats()
	clients := int64(o.cfg.MaxClients)
	deliveries := int64(o.cfg.DailyDeliveries)
	orDefault(&deliveries, 50_000_000)
	requests := entry(o.dailyRequests(), s.RestToday)
	return map[string]any{
		// What a connected app has of it stands beside the numbers.
		"DailyApiRequests":                      map[string]any{"Max": requests["Max"], "Remaining": requests["Remaining"], "Orgsim": entry(0, 0)},
		"DailyDeliveredPlatformEvents":          entry(deliveries, s.DeliveredToday),
		"DailyBulkV2QueryJobs":                  entry(int64(o.cfg.Bulk.Jobs), o.bulkJobs.total(o.now())),
		"DailyBulkV2QueryFileStorageMB":         entry(int64(o.cfg.Bulk.Megabyte), o.bulkBytes.total(o.now())>>20),
		"HourlyPublishedPlatformEvents":         entry(250_000, 0),
		"StreamingApiConcurrentClients":         entry(clients, int64(s.SessionsOpen)),
		"DurableStreamingApiConcurrentClients":  entry(clients, int64(s.SessionsOpen)),
		"DailyStreamingApiEvents":               entry(1_000_000, 0),
		"DailyDurableStreamingApiEvents":        entry(1_000_000, 0),
		"MonthlyPlatformEventsUsageEntitlement": map[string]int64{"Max": 0, "Remaining": 0},
	}
}

func (o *Org) dailyRequests() int64 {
	if o.cfg.DailyAPIRequests > 0 {
		return int64(o.cfg.DailyAPIRequests)
	}
	return 15_000
}

// proxy is the strike of the proxy that Config.ProxyCut describes.
func (o *Org) proxy() *strike {
	if o.cfg.ProxyStatus != 0 {
		return &strike{after: o.cfg.ProxyCut, http: page(o.cfg.ProxyStatus)}
	}
	return &strike{after: o.cfg.ProxyCut, drop: true}
}
