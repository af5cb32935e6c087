# The table that workers keep incidents in, where one is asked for: docs/incidents.md. What an incident still has
# to say is in it, and cannot be made anew: it is protected from deletion, and can be restored to any second of the
# last 35 days.

resource "aws_dynamodb_table" "incidents" {
  count = var.incident_table == null ? 0 : 1

  name         = var.incident_table
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "pk"
  range_key    = "sk"
  tags         = local.tags

  deletion_protection_enabled = true

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  attribute {
    name = "due"
    type = "S"
  }

  attribute {
    name = "due_at"
    type = "N"
  }

  # Only episodes that are not resolved have these attributes.
  global_secondary_index {
    name            = "due"
    hash_key        = "due"
    range_key       = "due_at"
    projection_type = "KEYS_ONLY"
  }

  point_in_time_recovery {
    enabled = true
  }
}
