package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
)

const (
	// answerWithin is how long an instance may be silent before it is looked whether
	// one runs.
	answerWithin = 10 * time.Second
	// noticesMetadata is how late it is noticed that the topic was made.
	noticesMetadata = time.Second
)

// taskWatch follows what is told of tasks.
type taskWatch struct {
	desk  *taskDesk
	show  taskView
	ends  func(snapshot.NoticeType) bool // whether what is wanted of a task is done with it
	cl    *kgo.Client
	tasks []*watchedTask
	// patience is how often it is looked why nothing is told, and noted what was found.
	patience time.Duration
	noted    string
}

// watchedTask is a task with the last that was told of it.
type watchedTask struct {
	Channel string `json:"channel"`
	Task    string `json:"task"`
	Object  string `json:"object,omitempty"`
	last    snapshot.Notice
	before  int // rows when it was first told of
	ended   bool
}

func (w *taskWatch) expect(channel, id, object string) {
	same := func(t *watchedTask) bool { return t.Channel == channel && t.Task == id }
	if !slices.ContainsFunc(w.tasks, same) {
		w.tasks = append(w.tasks, &watchedTask{Channel: channel, Task: id, Object: object})
	}
}

// endsTask says whether a notice is the last that is told of a task, for now.
func endsTask(n snapshot.NoticeType) bool {
	return slices.Contains([]snapshot.NoticeType{snapshot.TaskDone, snapshot.TaskEnded, snapshot.TaskPaused, snapshot.Refused}, n)
}

// open begins to read notices: those from now on.
func (w *taskWatch) open(ctx context.Context) error {
	topic := w.desk.notificationsTopic()
	opts := slices.Concat(w.desk.kafka, []kgo.Opt{
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.MetadataMinAge(noticesMetadata), kgo.MetadataMaxAge(noticesMetadata),
	})
	cl, err := kgo.NewClient(w.desk.kafka...)
	if err != nil {
		return exit(pipeline.ExitUsage, fmt.Errorf("kafka: %w", err))
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListCommittedOffsets(ctx, topic) // what is not committed yet is to come
	if err != nil {
		return outside("topic of notifications", err)
	}
	from := make(map[int32]kgo.Offset)
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err == nil {
			from[end.Partition] = kgo.NewOffset().At(end.Offset)
		}
	})
	if len(from) > 0 {
		opts = append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	} else {
		opts = append(opts, kgo.ConsumeTopics(topic)) // it is not there yet: all of it is new
	}
	if w.cl, err = kgo.NewClient(opts...); err != nil {
		return exit(pipeline.ExitUsage, fmt.Errorf("kafka: %w", err))
	}
	return nil
}

// run follows until all tasks are done with.
func (w *taskWatch) run(ctx context.Context) error {
	began, looked := time.Now(), time.Now()
	for slices.ContainsFunc(w.tasks, func(t *watchedTask) bool { return !t.ended }) {
		news, err := w.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return w.left()
		case err != nil:
			return outside("topic of notifications", err)
		case news:
			looked = time.Now()
		case time.Since(looked) >= w.patience:
			looked = time.Now()
			if err := w.silent(ctx); err != nil {
				return err
			}
		}
		if err := w.show.progress(w.progress(began)); err != nil {
			return err
		}
	}
	return w.show.end(w.tasks)
}

// poll takes what was told meanwhile, and says whether it was of these tasks.
func (w *taskWatch) poll(ctx context.Context) (news bool, err error) {
	poll, cancel := context.WithTimeout(ctx, progressEvery)
	defer cancel()
	fetches := w.cl.PollFetches(poll)
	for _, failed := range fetches.Errors() {
		if poll.Err() == nil && !kerr.IsRetriable(failed.Err) {
			return false, failed.Err
		}
	}
	for r := range fetches.RecordsAll() {
		n, err := snapshot.ReadNotice(r.Value)
		if err != nil {
			continue // it is another version's
		}
		i := slices.IndexFunc(w.tasks, func(t *watchedTask) bool { return t.Channel == n.Channel && t.Task == n.Task })
		if i < 0 || w.tasks[i].ended {
			continue
		}
		t := w.tasks[i]
		if t.last.Type == "" {
			t.before = n.Rows
		}
		news, t.last, t.ended = true, n, w.ends(n.Type)
		if err := w.show.notice(n); err != nil {
			return true, err
		}
	}
	return news, nil
}

// silent looks why nothing is told.
func (w *taskWatch) silent(ctx context.Context) error {
	members, err := w.desk.members(ctx)
	if err != nil {
		return outside("consumer group", err)
	}
	answered := slices.ContainsFunc(w.tasks, func(t *watchedTask) bool { return t.last.Type != "" })
	switch {
	case len(members) > 0 && answered:
		w.noted = ""
		return nil // a query may take long
	case len(members) > 0:
		return w.note(fmt.Sprintf("no answer yet: an instance runs, and may have other rows to read first, or be of an older version; asked by the record in %s", w.desk.signalsTopic()))
	case answered:
		return w.note("no instance of the bridge runs any more; it goes on when one does")
	}
	return exit(pipeline.ExitEnvironment, fmt.Errorf(
		"no instance of the bridge %q runs; the signal stays in %s, and is followed when one does, within 7 days; then 'bridge snapshot status' shows it", w.desk.cfg.Name, w.desk.signalsTopic()))
}

// note tells why nothing is told, once.
func (w *taskWatch) note(text string) error {
	if text == w.noted {
		return nil
	}
	w.noted = text
	return w.show.note(text)
}

// left says how to go on when nobody follows any more.
func (w *taskWatch) left() error {
	text := "it is not followed any more, and goes on; 'bridge snapshot status' shows it"
	for _, t := range w.tasks {
		if !t.ended {
			text += fmt.Sprintf("; stop it with: bridge snapshot stop --stream %s --task %s", t.Channel, t.Task)
			break
		}
	}
	return exit(pipeline.ExitHalted, errors.New(text))
}

// progress sums up what was told.
func (w *taskWatch) progress(began time.Time) taskProgress {
	p := taskProgress{took: time.Since(began), counted: true}
	for _, t := range w.tasks {
		p.rows += t.last.Rows
		p.before += t.before
		p.total += t.last.Total
		p.counted = p.counted && t.last.Total > 0
		if !t.ended {
			p.waits++
		}
	}
	return p
}

// verdict is the error of tasks that did not come to their end.
func (w *taskWatch) verdict() error {
	var errs []error
	code := pipeline.ExitOK
	for _, t := range w.tasks {
		n := t.last
		switch n.Type {
		case snapshot.Refused:
			code = max(code, pipeline.ExitUsage)
			errs = append(errs, fmt.Errorf("%s: the bridge refuses it: %s", t.Channel, n.Why))
		case snapshot.TaskEnded:
			code = pipeline.ExitHalted
			errs = append(errs, fmt.Errorf("%s of %s ended before its end: %s", t.Task, t.Channel, n.Why))
		case snapshot.TaskPaused:
			code = pipeline.ExitHalted
			errs = append(errs, fmt.Errorf("%s of %s is paused; it goes on with: bridge snapshot resume --stream %s --task %s", t.Task, t.Channel, t.Channel, t.Task))
		}
	}
	if len(errs) == 0 {
		return nil
	}
	return exit(code, errors.Join(errs...))
}
