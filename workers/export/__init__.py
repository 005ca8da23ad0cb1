"""What every kind of sink uses: the reader of the spool, the durable cursor, the ledger, retries and conditions."""
