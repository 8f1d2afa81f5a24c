CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);

CREATE TABLE alert_events (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	episode TEXT NOT NULL,
	at BIGINT NOT NULL,
	what TEXT NOT NULL,
	who TEXT NOT NULL,
	detail TEXT NOT NULL,
	chain BLOB NOT NULL
);

CREATE INDEX ix_alert_events_episode ON alert_events (episode);

CREATE TABLE alerts (
	id INTEGER NOT NULL,
	episode TEXT NOT NULL,
	rule TEXT NOT NULL,
	device TEXT NOT NULL,
	channel INTEGER,
	site TEXT NOT NULL,
	severity TEXT NOT NULL,
	state TEXT NOT NULL,
	began_at BIGINT NOT NULL,
	fired_at BIGINT NOT NULL,
	resolved_at BIGINT,
	evidence BLOB NOT NULL,
	acknowledged_at BIGINT,
	acknowledged_by TEXT,
	note TEXT DEFAULT '' NOT NULL, scope TEXT DEFAULT '' NOT NULL, withheld TEXT DEFAULT '' NOT NULL, flaps BOOLEAN DEFAULT 0 NOT NULL, tier INTEGER DEFAULT '1' NOT NULL, drill BOOLEAN DEFAULT 0 NOT NULL, handler TEXT DEFAULT '' NOT NULL, handler_since BIGINT,
	PRIMARY KEY (id),
	UNIQUE (episode)
);

CREATE INDEX alerts_by_site ON alerts (site, fired_at);

CREATE TABLE areas (
	id TEXT NOT NULL,
	name_zh TEXT NOT NULL,
	name_en TEXT NOT NULL,
	declared BOOLEAN NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE journal (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	committed_at BIGINT NOT NULL,
	messages INTEGER NOT NULL,
	reports BLOB NOT NULL
);

CREATE TABLE outbox (
	id INTEGER NOT NULL,
	idempotency_key TEXT NOT NULL,
	episode TEXT NOT NULL,
	transition TEXT NOT NULL,
	channel TEXT NOT NULL,
	urgency INTEGER NOT NULL,
	alert BLOB NOT NULL,
	created_at BIGINT NOT NULL,
	state TEXT NOT NULL,
	reason TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	next_at BIGINT NOT NULL,
	told_at BIGINT,
	receipt TEXT NOT NULL, recipient TEXT DEFAULT '' NOT NULL, tier INTEGER DEFAULT '1' NOT NULL, spilled_from INTEGER, digest INTEGER,
	PRIMARY KEY (id),
	UNIQUE (idempotency_key)
);

CREATE INDEX ix_outbox_episode ON outbox (episode);

CREATE TABLE quarantine (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	received_at BIGINT NOT NULL,
	topic TEXT NOT NULL,
	payload BLOB NOT NULL,
	size INTEGER NOT NULL,
	reason TEXT NOT NULL,
	detail TEXT NOT NULL,
	identity TEXT NOT NULL
);

CREATE TABLE rule_state (
	subject TEXT NOT NULL,
	state BLOB NOT NULL,
	PRIMARY KEY (subject)
);

CREATE TABLE tallies (
	name TEXT NOT NULL,
	count INTEGER NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE watermarks (
	name TEXT NOT NULL,
	value INTEGER NOT NULL,
	PRIMARY KEY (name)
);

CREATE TABLE sites (
	id TEXT NOT NULL,
	area TEXT NOT NULL,
	name_zh TEXT NOT NULL,
	name_en TEXT NOT NULL,
	declared BOOLEAN NOT NULL,
	schedule TEXT NOT NULL, carrier TEXT DEFAULT '' NOT NULL, latitude FLOAT, longitude FLOAT,
	PRIMARY KEY (id),
	FOREIGN KEY(area) REFERENCES areas (id)
);

CREATE TABLE devices (
	id TEXT NOT NULL,
	site TEXT NOT NULL,
	dialect TEXT NOT NULL,
	name TEXT NOT NULL,
	kind TEXT NOT NULL,
	declared BOOLEAN NOT NULL,
	silent_after_s FLOAT,
	added_at BIGINT NOT NULL,
	PRIMARY KEY (id),
	FOREIGN KEY(site) REFERENCES sites (id),
	CONSTRAINT one_device_per_name UNIQUE (dialect, name)
);

CREATE TABLE sockets (
	device TEXT NOT NULL,
	channel INTEGER NOT NULL,
	declared BOOLEAN NOT NULL,
	PRIMARY KEY (device, channel),
	FOREIGN KEY(device) REFERENCES devices (id)
);

CREATE TRIGGER alert_events_no_update BEFORE UPDATE ON alert_events BEGIN SELECT raise(ABORT, 'alert_events is append-only'); END;

CREATE TRIGGER alert_events_no_delete BEFORE DELETE ON alert_events BEGIN SELECT raise(ABORT, 'alert_events is append-only'); END;

CREATE UNIQUE INDEX one_open_alert ON alerts (rule, device, ifnull(channel, 0), scope) WHERE state = 'firing';

CREATE TABLE commands (
	id TEXT NOT NULL,
	device TEXT NOT NULL,
	channel INTEGER,
	action TEXT NOT NULL,
	ordered_by TEXT NOT NULL,
	reason TEXT NOT NULL,
	episode TEXT NOT NULL,
	ordered_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	state TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	next_at BIGINT,
	first_sent_at BIGINT,
	sent_at BIGINT,
	replied_at BIGINT,
	confirmed_at BIGINT,
	ended_at BIGINT,
	failure TEXT,
	detail TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX commands_to_send ON commands (next_at);

CREATE INDEX commands_by_time ON commands (ordered_at);

CREATE TABLE latches (
	id TEXT NOT NULL,
	device TEXT NOT NULL,
	channel INTEGER,
	since BIGINT NOT NULL,
	"by" TEXT NOT NULL,
	reason TEXT NOT NULL,
	episode TEXT NOT NULL,
	dark_at BIGINT,
	cleared_at BIGINT,
	cleared_by TEXT NOT NULL,
	clear_reason TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX latches_by_time ON latches (since);

CREATE UNIQUE INDEX one_latch ON latches (device, ifnull(channel, 0)) WHERE cleared_at IS NULL;

CREATE TABLE policy_changes (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	at BIGINT NOT NULL,
	who TEXT NOT NULL,
	how TEXT NOT NULL,
	file TEXT NOT NULL,
	digest TEXT NOT NULL,
	changes BLOB NOT NULL,
	settings BLOB NOT NULL,
	chain BLOB NOT NULL
);

CREATE TRIGGER policy_changes_no_update BEFORE UPDATE ON policy_changes BEGIN SELECT raise(ABORT, 'policy_changes is append-only'); END;

CREATE TRIGGER policy_changes_no_delete BEFORE DELETE ON policy_changes BEGIN SELECT raise(ABORT, 'policy_changes is append-only'); END;

CREATE TABLE silences (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	kind TEXT NOT NULL,
	owner TEXT NOT NULL,
	reason TEXT NOT NULL,
	site TEXT NOT NULL,
	device TEXT NOT NULL,
	channel INTEGER,
	rule TEXT NOT NULL,
	starts BIGINT NOT NULL,
	ends BIGINT NOT NULL,
	created_at BIGINT NOT NULL,
	created_by TEXT NOT NULL,
	ended_by TEXT NOT NULL
);

CREATE INDEX ix_silences_ends ON silences (ends);

CREATE TABLE hazards (
	id INTEGER NOT NULL,
	rule TEXT NOT NULL,
	device TEXT NOT NULL,
	channel INTEGER,
	site TEXT NOT NULL,
	began_at BIGINT NOT NULL,
	ended_at BIGINT NOT NULL,
	found_at BIGINT NOT NULL,
	evidence BLOB NOT NULL,
	PRIMARY KEY (id)
);

CREATE INDEX hazards_by_device ON hazards (device, rule, ended_at);

CREATE TABLE sessions (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	device TEXT NOT NULL,
	channel INTEGER,
	site TEXT NOT NULL,
	began_at BIGINT NOT NULL,
	ended_at BIGINT NOT NULL,
	energy_kwh FLOAT NOT NULL,
	peak_w FLOAT NOT NULL,
	charging_w FLOAT NOT NULL,
	phase TEXT NOT NULL,
	ending TEXT NOT NULL,
	stop_reason TEXT NOT NULL
);

CREATE INDEX sessions_by_site ON sessions (site, began_at);

CREATE UNIQUE INDEX one_session ON sessions (device, ifnull(channel, 0), began_at);

CREATE INDEX outbox_waiting ON outbox (urgency, id) WHERE state = 'waiting' AND digest IS NULL;

CREATE INDEX outbox_told ON outbox (told_at);

CREATE INDEX outbox_digest ON outbox (digest) WHERE digest IS NOT NULL;

CREATE TABLE people (
	id TEXT NOT NULL,
	person BLOB NOT NULL,
	password TEXT DEFAULT '' NOT NULL,
	password_at BIGINT,
	must_change BOOLEAN DEFAULT 0 NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE posts (
	id TEXT NOT NULL,
	post BLOB NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE routes (
	id TEXT NOT NULL,
	route BLOB NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE logins (
	digest BLOB NOT NULL,
	who TEXT NOT NULL,
	csrf TEXT NOT NULL,
	began_at BIGINT NOT NULL,
	ends_at BIGINT NOT NULL,
	address TEXT NOT NULL,
	standing TEXT NOT NULL,
	PRIMARY KEY (digest)
);

CREATE INDEX ix_logins_who ON logins (who);

CREATE TABLE api_tokens (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	digest BLOB NOT NULL,
	name TEXT NOT NULL,
	person TEXT NOT NULL,
	rights TEXT NOT NULL,
	made_at BIGINT NOT NULL,
	ends_at BIGINT,
	revoked_at BIGINT,
	UNIQUE (digest)
);

CREATE INDEX ix_api_tokens_person ON api_tokens (person);

CREATE TABLE audit (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	at BIGINT NOT NULL,
	who TEXT NOT NULL,
	via TEXT NOT NULL,
	what TEXT NOT NULL,
	about TEXT NOT NULL,
	area TEXT NOT NULL,
	detail TEXT NOT NULL,
	chain BLOB NOT NULL
);

CREATE INDEX audit_by_who ON audit (who);

CREATE TABLE links (
	id TEXT NOT NULL,
	used_at BIGINT NOT NULL,
	used_by TEXT NOT NULL,
	PRIMARY KEY (id)
);

CREATE TABLE photos (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	episode TEXT NOT NULL,
	at BIGINT NOT NULL,
	who TEXT NOT NULL,
	width INTEGER NOT NULL,
	height INTEGER NOT NULL,
	sha256 TEXT NOT NULL,
	jpeg BLOB NOT NULL
);

CREATE INDEX ix_photos_episode ON photos (episode);

CREATE TABLE digests (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	idempotency_key TEXT NOT NULL,
	channel TEXT NOT NULL,
	recipient TEXT NOT NULL,
	urgency INTEGER NOT NULL,
	made_at BIGINT NOT NULL,
	state TEXT NOT NULL,
	attempts INTEGER NOT NULL,
	next_at BIGINT NOT NULL,
	told_at BIGINT,
	receipt TEXT NOT NULL,
	UNIQUE (idempotency_key)
);

CREATE TABLE post_checks (
	id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
	post TEXT NOT NULL,
	area TEXT NOT NULL,
	asked_by TEXT NOT NULL,
	asked_at BIGINT NOT NULL,
	due_at BIGINT NOT NULL,
	state TEXT NOT NULL,
	answered_at BIGINT,
	answered_by TEXT NOT NULL,
	told BLOB NOT NULL
);

CREATE INDEX digests_waiting ON digests (id) WHERE state != 'told';

CREATE INDEX digests_told ON digests (told_at);

CREATE INDEX post_checks_by_post ON post_checks (post, asked_at);

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'audit is append-only'); END;

CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'audit is append-only'); END;
