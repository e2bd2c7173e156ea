package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
)

// direction is what is done with tasks that there are.
type direction struct {
	verb, short, long string
	signal            snapshot.SignalType
	from              []snapshot.Standing // how a task may stand
	done              snapshot.NoticeType
}

func stopTasks() direction {
	return direction{
		verb: "stop", short: "Stop reading rows, for good", signal: snapshot.AskStop, done: snapshot.TaskEnded,
		long: "Stop reading rows, for good: what was written stays, and a gap that was being\nrepaired stays in the ledger.",
		from: []snapshot.Standing{snapshot.Running, snapshot.Paused},
	}
}

func pauseTasks() direction {
	return direction{
		verb: "pause", short: "Stop reading rows, until it is resumed", signal: snapshot.AskPause, done: snapshot.TaskPaused,
		long: "Stop reading rows, until it is resumed. It stays paused when the bridge is started\nagain.",
		from: []snapshot.Standing{snapshot.Running},
	}
}

func resumeTasks() direction {
	return direction{
		verb: "resume", short: "Go on with reading rows", signal: snapshot.AskResume, done: snapshot.Resumed,
		long: "Go on with reading rows where it was paused.",
		from: []snapshot.Standing{snapshot.Paused},
	}
}

func newSnapshotDirect(stop *stopper, what func() direction) *cobra.Command {
	d := what()
	var flags askFlags
	var which chosenTasks
	cmd := &cobra.Command{
		Use:   d.verb,
		Short: d.short,
		Long:  d.long + "\n\n" + askedCodes,
		Example: fmt.Sprintf("  bridge snapshot %s --entity Account\n  bridge snapshot %s --stream /data/AccountChangeEvent --task snapshot/12",
			d.verb, d.verb),
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return directTasks(stop.intake, flags, which, d, flags.view(cmd), cmd.ErrOrStderr())
		},
	}
	flags.bind(cmd)
	cmd.Flags().StringVar(&which.entity, "entity", "", "all tasks of this entity, by its API name")
	cmd.Flags().StringVar(&which.task, "task", "", "the task with this id, as 'bridge snapshot status' has it")
	cmd.Flags().StringVar(&which.stream, "stream", "", "of this channel alone")
	return cmd
}

// chosenTasks says which tasks are meant; what is empty does not matter.
type chosenTasks struct{ entity, task, stream string }

func (c *chosenTasks) means(r *taskRow) bool {
	return (c.entity == "" || r.Object == c.entity) && (c.task == "" || r.Task == c.task) && (c.stream == "" || r.Channel == c.stream)
}

// directTasks has the running bridge stop, pause or resume tasks.
func directTasks(ctx context.Context, flags askFlags, which chosenTasks, what direction, show taskView, stderr io.Writer) error {
	if which.entity == "" && which.task == "" {
		return exit(pipeline.ExitUsage, fmt.Errorf("--entity or --task is needed; see 'bridge snapshot %s --help'", what.verb))
	}
	d, err := openTaskDesk(ctx, flags.path, stderr)
	if err != nil {
		return stoppedOr(ctx, err)
	}
	defer d.close()
	return d.direct(ctx, flags.follow(), show, which, what)
}

// signals are those for the tasks that are meant and stand as they have to.
func (c *chosenTasks) signals(rows []taskRow, what direction) ([]snapshot.Signal, error) {
	var signals []snapshot.Signal
	var others []string
	for i := range rows {
		r := &rows[i]
		if !c.means(r) {
			continue
		}
		fits := false
		for _, from := range what.from {
			fits = fits || r.State == from
		}
		if !fits {
			others = append(others, fmt.Sprintf("%s of %s is %s", r.Task, r.Channel, r.State))
			continue
		}
		signals = append(signals, snapshot.Signal{Type: what.signal, Channel: r.Channel, Task: r.Task, Object: r.Object})
	}
	switch {
	case len(signals) > 0:
		return signals, nil
	case len(others) > 0:
		return nil, fmt.Errorf("there is nothing to %s: %s", what.verb, strings.Join(others, ", "))
	}
	return nil, errors.New("there is no such task; 'bridge snapshot status' lists those that there are")
}

// direct sends the signals, and waits until they are followed.
func (d *taskDesk) direct(ctx context.Context, follow bool, show taskView, which chosenTasks, what direction) error {
	w, err := d.ask(ctx, follow, show, func(tasks []taskRow) ([]snapshot.Signal, []taskRow, error) {
		signals, err := which.signals(tasks, what)
		if err != nil {
			err = exit(pipeline.ExitUsage, err)
		}
		return signals, nil, err
	}, func(n snapshot.NoticeType) bool {
		return n == what.done || n == snapshot.TaskDone || n == snapshot.TaskEnded
	})
	if err != nil || !follow {
		return err
	}
	for _, t := range w.tasks {
		if t.last.Type != what.done {
			return exit(pipeline.ExitHalted, fmt.Errorf("%s of %s ended before: it is %s", t.Task, t.Channel, t.last.Type))
		}
	}
	return nil
}
