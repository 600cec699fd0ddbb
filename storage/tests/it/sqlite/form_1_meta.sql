-- meta.db as form 1 has it: person 2 has read conversation 1 up to 7, in the row's version 3, and has an e-mail address.
-- Never edit: it is what is on disks.
CREATE TABLE claims (
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    owner BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (name, value)
) STRICT, WITHOUT ROWID;
CREATE TABLE f_marks (
    partition BLOB NOT NULL,
    sort BLOB NOT NULL,
    version INTEGER NOT NULL,
    value BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (partition, sort)
) STRICT, WITHOUT ROWID;
INSERT INTO claims VALUES ('account_email', X'616e6e406578616d706c652e6f7267', X'02020202020202020202020202020202', 1071315979);
INSERT INTO f_marks VALUES (X'01010101010101010101010101010101', X'02020202020202020202020202020202', 3, X'81a8726561645f73657107', 3315551313);
PRAGMA application_id = 1213547074;
PRAGMA user_version = 1;
