// Package streaming makes a lane's source out of Salesforce's CometD streaming
// API.
//
// # What it does
//
// It joins a [cometd.Client] to the pipeline: channels and stored positions
// become subscriptions, events become batches, and every error of the client
// or of the login gets the condition under which the policy table knows it.
//
// # What it promises
//
// Events come in the order in which the org sent them, with the payload's bytes
// untouched; events of a stream that share one replay id are in one batch.
// Errors lose nothing: the client takes its streams up again after the last
// event that it returned. After the conditions [pipeline.OrgMoved] and
// [pipeline.PositionForeign] a Source is of no use any more; what it held back comes
// again in another.
//
// # What it does not do
//
// It retries nothing and decides nothing; the client paces itself, the pipeline
// decides.
//
// # Concurrency
//
// One goroutine uses a Source.
//
// # Errors
//
// Next returns *[pipeline.SourceError]; a stored position that is no replay id
// is a *[pipeline.PositionError].
package streaming
