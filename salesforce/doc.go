// Package salesforce logs in to a Salesforce org and reads from its REST API.
//
// # What it does
//
// Four grants get an access token: JWTBearer, ClientCredentials, RefreshToken and
// Password. WebServer is the login of a user by the browser, which brings the
// refresh token that a Store keeps, such as FileStore. KeyFile follows a private
// key that is replaced on disk.
// A TokenSource keeps the token of one grant and shares it. A Client asks the
// REST API with that token: API versions, event schemas, object descriptions,
// PushTopics, the id of the org, its limits, how many rows of an object were
// changed, or any path by Get. It counts its requests, which the org's daily allowance pays for.
//
// A Reader reads rows with a Client: by REST queries, which all objects have, and
// by jobs of Bulk API 2.0, for many rows. A Form says which fields, and gives both
// readers one output: the JSON that a change event of the same values has. Query
// writes SOQL; Where and its sisters write conditions, so that nobody puts values
// into a statement by hand.
//
// # What it promises
//
//   - One exchange serves any number of concurrent callers, and a failed one is
//     forgotten: the next caller asks again.
//   - A token whose end the reply told is renewed ahead of it, by one of its
//     callers; if that fails for a reason that passes, the token that is still
//     good is used on.
//   - A rotated refresh token is on disk before the access token that came with it
//     is used. Processes that share a FileStore refresh one after the other.
//   - A request of a Client whose session has ended is sent once more with a new
//     token, and nothing else is ever sent twice. Waiting and retrying belong to the
//     caller, who asks Retryable.
//   - A Reader does wait and retry. Its rows are handed out once each and none is
//     left out, whatever request fails at whatever byte: a query goes on behind the
//     last id, a Bulk result behind the last row of its page, and each page must have
//     as many rows as it says. A reply is read as a stream; memory holds one row.
//   - Close of a Bulk reader aborts the job and deletes it, also if the context of
//     the reading has ended.
//   - A token, password, client secret, assertion, authorization code or private
//     key never appears in an error or in the output of package fmt or encoding/json.
//   - The access token and the login form go to the host they were meant for:
//     a redirect to another host is an error, plain http too (except on
//     loopback, or where AllowPlainHTTP says so).
//   - Replies are read up to a bound (1 MiB from the token endpoint, 16 MiB
//     unpacked from the REST API), and every request ends after a minute at most. A
//     page of rows has this bound for each row, and ends after three minutes in which
//     it does not begin, or one in which nothing comes.
//   - Bytes of a schema are those that Salesforce sent.
//
// # What it does not do
//
// It never revokes a token: Salesforce may hand the same one to several
// programs, and revoking it would end the sessions of all. It does not write
// records; it does not log, and it keeps no state outside its values and the
// token's file. A job of Bulk API whose creation was not answered stays at
// Salesforce until its seven days are over: Reader.Jobs lists jobs, and nothing at
// Salesforce says which program made one. It opens no browser and listens on no
// port. It does not guess when a token ends: without an expires_in, which is the
// rule, a token is used until Salesforce refuses it.
//
// # Concurrency
//
// TokenSource, Client, KeyFile and RefreshToken are for any number of goroutines.
// The other grants are plain values; none must be changed after its first use. A
// Reader and a Form may be shared; Rows are for one goroutine at a time. The
// only goroutine that this package starts runs one token exchange; see
// TokenSource.Renew for who waits for it.
//
// # Errors
//
//   - *ConfigError, *KeyError: something given to this package is wrong.
//   - *OAuthError: the token or authorize endpoint refused; Hint says what to change.
//   - *StoreError: the file of a refresh token cannot be read, locked or replaced.
//   - ErrState, ErrCodeUsed: a redirect that must not be followed up.
//   - *APIError: the REST API refused.
//   - *NoPushTopicError: the org shows no PushTopic of that name.
//   - *ReplyError: a reply of success that cannot be used.
//   - *NetworkError: no whole reply arrived.
//   - *RowError: a row is not what was asked for, or a value not of its field's type.
//   - *JobError: a Bulk job ended without a result.
//   - *BulkRefusedError: Bulk API does not read the object; REST queries may.
//   - *OrgChangedError: a renewed token belongs to another org.
//
// Retryable tells whether the same call can succeed later without anyone
// changing anything, Unauthorized whether credentials were refused. The end of
// the caller's context is returned as an error that wraps it.
package salesforce
