package ops

import "github.com/prometheus/client_golang/prometheus"

// Rows is what is known of the reading of rows in this process.
type Rows struct {
	Tasks      []TaskCount // those of its lanes that have not ended
	Holds      uint64      // commits that were held for rows which kept changing
	BudgetUsed int         // calls of the org's API that were made within a day
	BudgetLeft int         // those that there may be until some of them are a day old
}

// TaskCount is how many tasks there are of a kind that stand the same way.
type TaskCount struct {
	Kind, State string
	Count       int
}

// rowMetrics are the metrics of Rows.
type rowMetrics struct {
	tasks, holds, used, left *prometheus.Desc
}

func newRowMetrics() rowMetrics {
	return rowMetrics{
		tasks: prometheus.NewDesc("bridge_row_tasks", "Snapshots and repairs of this process's lanes that have not ended, by kind and state; those that run may wait for their turn.", []string{"kind", "state"}, nil),
		holds: prometheus.NewDesc("bridge_row_holds_total", "How often a lane held its commits to read a record that kept changing.", nil, nil),
		used:  prometheus.NewDesc("bridge_salesforce_api_budget_used", "Calls of org.max_api_calls_per_day that were made in the last 24 hours.", nil, nil),
		left:  prometheus.NewDesc("bridge_salesforce_api_budget_left", "Calls of org.max_api_calls_per_day that can be made now; with none rows wait.", nil, nil),
	}
}

func (m *rowMetrics) describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.tasks, m.holds, m.used, m.left} {
		out <- d
	}
}

func (m *rowMetrics) collect(out chan<- prometheus.Metric, r *Rows) {
	if r == nil {
		return
	}
	for _, t := range r.Tasks {
		out <- prometheus.MustNewConstMetric(m.tasks, prometheus.GaugeValue, float64(t.Count), t.Kind, t.State)
	}
	out <- prometheus.MustNewConstMetric(m.holds, prometheus.CounterValue, float64(r.Holds))
	out <- prometheus.MustNewConstMetric(m.used, prometheus.GaugeValue, float64(r.BudgetUsed))
	out <- prometheus.MustNewConstMetric(m.left, prometheus.GaugeValue, float64(r.BudgetLeft))
}
