package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

func newPositionsMigrate(stop *stopper) *cobra.Command {
	var path string
	dryRun, asJSON := false, false
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Move the positions to the number of lanes that the configuration says",
		Long: `Move the positions to the number of lanes that the configuration says.

Stop every instance of the bridge, change lanes in the configuration, run this,
and start the bridge again. Nothing is lost or read twice.

It can be interrupted at any moment: the bridge refuses to start until it was run
again, and it goes on from what it finds. More lanes add partitions to the topic
<name>.positions. Kafka cannot take partitions away, so for fewer lanes the
positions go through the topic <name>.positions.migrating while <name>.positions
is deleted and created anew, whatever internal_topics.create says.

With ACLs it needs, beside what the bridge needs, Describe on the group <name>;
for more lanes, Alter on <name>.positions; for fewer, Create and Delete on it and
Create, Delete, Read, Write, Describe and DescribeConfigs on the other topic. A step
that it may not do can be done by somebody who may; then run it again.

Exit codes: 0 the positions are as configured, 2 usage or configuration,
3 the bridge is running, or something outside is unreachable, refuses us or is
not as it must be.`,
		Example: "  bridge positions migrate -c bridge.yaml --dry-run\n  bridge positions migrate -c bridge.yaml",
		Args:    usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return migratePositions(stop.intake, path, dryRun, newMigrationTeller(asJSON, cmd.OutOrStdout()), cmd.ErrOrStderr())
		},
	}
	configFlag(cmd, &path)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "tell what would be done, change nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print as JSON")
	return cmd
}

// mover changes the number of lanes.
type mover struct {
	laneOwner
	migration *replay.Migration
	tell      migrationTeller
}

func migratePositions(ctx context.Context, path string, dryRun bool, tell migrationTeller, w io.Writer) error {
	b, err := openPositions(ctx, path, w)
	if err != nil {
		return err
	}
	m := &mover{laneOwner: laneOwner{bridge: b}, tell: tell}
	if m.migration, err = replay.OpenMigration(ctx, b.positions()); err != nil {
		return outside("positions topic", err)
	}
	defer m.close()
	plan, err := m.look(ctx)
	if err != nil {
		return err
	}
	if err := tell.plan(plan, dryRun); err != nil {
		return err
	}
	if len(plan.Steps) > 0 && !dryRun {
		if err := m.move(ctx, plan); err != nil {
			return err
		}
	}
	return tell.end()
}

// closeTimeout bounds the end of producers whose broker does not answer.
const closeTimeout = 5 * time.Second

func (m *mover) close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	m.release(ctx)
	m.migration.Close()
}

func (m *mover) look(ctx context.Context) (*replay.MigrationPlan, error) {
	plan, err := m.migration.Look(ctx)
	if err != nil {
		return nil, outside("positions topic", err)
	}
	return plan, nil
}

// mostTurns is more than the steps of any migration, also of one that changes its
// mind halfway. Beyond it, somebody undoes what we do.
const mostTurns = 24

// move takes one step after the other. Each one is decided by what the topics hold
// after the one before, so that it is verified, and an interrupted migration is
// nothing special.
func (m *mover) move(ctx context.Context, plan *replay.MigrationPlan) error {
	if err := m.unattended(ctx); err != nil {
		return err
	}
	for range mostTurns {
		next, err := m.turn(ctx, plan)
		switch {
		case ctx.Err() != nil:
			return exit(pipeline.ExitEnvironment, errors.New("stopped before the end; nothing is lost, run this again to finish it"))
		case err != nil:
			return err
		case len(next.Steps) == 0:
			return nil
		}
		plan = next
	}
	return exit(pipeline.ExitEnvironment, fmt.Errorf(
		"topic %q: %d steps did not bring the positions to %d lanes, next would be: %s; does anybody else change the topic?",
		plan.Topic, mostTurns, plan.To, strings.Join(names(plan.Steps), ", ")))
}

// turn takes the step that is next. plan is the last that was seen: all lanes of it
// are made ours before the look that decides.
func (m *mover) turn(ctx context.Context, plan *replay.MigrationPlan) (*replay.MigrationPlan, error) {
	if err := m.own(ctx, lanesOf(plan)); err != nil {
		return nil, err
	}
	next, err := m.look(ctx)
	if err != nil || len(next.Steps) == 0 || lanesOf(next) > lanesOf(plan) {
		return next, err
	}
	return next, m.step(ctx, next)
}

// lanesOf are the lanes that there are, were or will be.
func lanesOf(plan *replay.MigrationPlan) int { return max(plan.From, plan.To, plan.Have) }

func (m *mover) step(ctx context.Context, plan *replay.MigrationPlan) error {
	step := plan.Steps[0]
	if step.Decisive() {
		if err := m.prove(ctx, plan); err != nil {
			return err
		}
	}
	if err := m.migration.Do(ctx, plan, m.write); err != nil {
		return outside("positions topic", err)
	}
	if step.Reshapes() {
		m.release(ctx)
	}
	return m.tell.did(step)
}

// migrationTeller tells what a migration will do and did.
type migrationTeller interface {
	plan(plan *replay.MigrationPlan, dryRun bool) error
	did(step replay.Step) error
	end() error
}

func newMigrationTeller(asJSON bool, w io.Writer) migrationTeller {
	if asJSON {
		return &jsonMigration{w: w}
	}
	return &textMigration{w: w}
}

func names(steps []replay.Step) []string {
	out := make([]string, len(steps))
	for i, s := range steps {
		out[i] = string(s)
	}
	return out
}

// jsonMigration tells everything at the end, as one object.
type jsonMigration struct {
	w   io.Writer
	out migrationReport
}

type migrationReport struct {
	Topic   string        `json:"topic"`
	From    int           `json:"from"` // lanes
	To      int           `json:"to"`
	DryRun  bool          `json:"dry_run"`
	Streams []migratedRow `json:"streams"`
	Planned []string      `json:"planned"`
	Done    []string      `json:"done"`
}

type migratedRow struct {
	Channel string `json:"channel"`
	From    int32  `json:"from"`
	To      int32  `json:"to"`
}

func (j *jsonMigration) plan(plan *replay.MigrationPlan, dryRun bool) error {
	j.out = migrationReport{
		Topic: plan.Topic, From: plan.From, To: plan.To, DryRun: dryRun,
		Streams: make([]migratedRow, len(plan.Streams)), Planned: names(plan.Steps), Done: []string{},
	}
	for i, s := range plan.Streams {
		j.out.Streams[i] = migratedRow{Channel: s.Key.Channel, From: s.From, To: s.To}
	}
	return nil
}

func (j *jsonMigration) did(step replay.Step) error {
	j.out.Done = append(j.out.Done, string(step))
	return nil
}

func (j *jsonMigration) end() error { return writeJSON(j.w, j.out) }

// textMigration tells as it goes.
type textMigration struct {
	w    io.Writer
	last string
}

func (t *textMigration) plan(plan *replay.MigrationPlan, dryRun bool) error {
	if len(plan.Steps) == 0 {
		t.last = fmt.Sprintf("%s has %d lanes, and every position is where it belongs: nothing to do", plan.Topic, plan.To)
		return nil
	}
	t.last = fmt.Sprintf("%s has %d lanes", plan.Topic, plan.To)
	if dryRun {
		t.last = "dry run: nothing was changed"
	}
	tw := tabwriter.NewWriter(t.w, 0, 0, 2, ' ', 0)
	text := fmt.Sprintf("%s: from %d lanes to %d\n\nSTREAM\tLANE\tNEW LANE\n", plan.Topic, plan.From, plan.To)
	for _, s := range plan.Streams {
		text += fmt.Sprintf("%s\t%d\t%d\n", s.Key.Channel, s.From, s.To)
	}
	if _, err := io.WriteString(tw, text+"\nto do: "+strings.Join(names(plan.Steps), ", ")+"\n"); err != nil {
		return err
	}
	return tw.Flush()
}

func (t *textMigration) did(step replay.Step) error {
	_, err := fmt.Fprintf(t.w, "done: %s\n", step)
	return err
}

func (t *textMigration) end() error {
	_, err := fmt.Fprintln(t.w, t.last)
	return err
}
