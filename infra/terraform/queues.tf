# executions -> rule -> queue -> worker; rule -> target's dead-letter queue (could not be delivered);
# queue -> dead-letter queue (the worker could not deal with it)

locals {
  queue_name = replace(var.event_rule_name, ".", "-")
  tags       = merge(var.tags, { application = var.application_name, env = var.env })

  # SQS's longest. A message keeps the age it had in the queue.
  dead_letter_retention_seconds = 14 * 24 * 60 * 60

  # SQS's largest, 1 MiB. The provider's default is 256 KiB, which an event with a large input and a long
  # cause exceeds: the queue refuses it, and the target's dead-letter queue does too.
  max_message_size = 1024 * 1024

  # SQS's own encryption and a key exclude each other.
  sqs_managed_sse_enabled = var.kms_key_arn == null ? true : null
}

# A new name would replace a queue, and delete the messages that wait in it. The queues keep the names that
# they were made with, whatever becomes of event_rule_name.

resource "aws_sqs_queue" "queue" {
  name                       = local.queue_name
  visibility_timeout_seconds = var.visibility_timeout_seconds
  message_retention_seconds  = var.message_retention_seconds
  max_message_size           = local.max_message_size
  kms_master_key_id          = var.kms_key_arn
  sqs_managed_sse_enabled    = local.sqs_managed_sse_enabled
  tags                       = local.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letter.arn
    maxReceiveCount     = var.max_receive_count
  })

  lifecycle {
    ignore_changes = [name]
  }
}

resource "aws_sqs_queue" "dead_letter" {
  name                      = "${local.queue_name}-dlq"
  message_retention_seconds = local.dead_letter_retention_seconds
  max_message_size          = local.max_message_size
  kms_master_key_id         = var.kms_key_arn
  sqs_managed_sse_enabled   = local.sqs_managed_sse_enabled
  tags                      = local.tags

  lifecycle {
    ignore_changes = [name]
  }
}

# Nobody else's queue may use the dead-letter queue, in which its messages would pass for failures here.
resource "aws_sqs_queue_redrive_allow_policy" "dead_letter" {
  queue_url = aws_sqs_queue.dead_letter.id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.queue.arn]
  })
}

# What EventBridge could not put into the queue: a queue policy gone wrong, a key that refuses.
resource "aws_sqs_queue" "target_dead_letter" {
  name                      = "${local.queue_name}-target-dlq"
  message_retention_seconds = local.dead_letter_retention_seconds
  max_message_size          = local.max_message_size
  kms_master_key_id         = var.kms_key_arn
  sqs_managed_sse_enabled   = local.sqs_managed_sse_enabled
  tags                      = local.tags

  lifecycle {
    ignore_changes = [name]
  }
}

resource "aws_sqs_queue_policy" "queue" {
  queue_url = aws_sqs_queue.queue.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      merge(local.only_the_rule_sends, { Resource = aws_sqs_queue.queue.arn }),
      merge(local.only_over_tls, { Resource = aws_sqs_queue.queue.arn }),
    ]
  })
}

resource "aws_sqs_queue_policy" "dead_letter" {
  queue_url = aws_sqs_queue.dead_letter.id

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge(local.only_over_tls, { Resource = aws_sqs_queue.dead_letter.arn })]
  })
}

resource "aws_sqs_queue_policy" "target_dead_letter" {
  queue_url = aws_sqs_queue.target_dead_letter.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      merge(local.only_the_rule_sends, { Resource = aws_sqs_queue.target_dead_letter.arn }),
      merge(local.only_over_tls, { Resource = aws_sqs_queue.target_dead_letter.arn }),
    ]
  })
}

locals {
  only_the_rule_sends = {
    Sid       = "OnlyTheRuleSends"
    Effect    = "Allow"
    Principal = { Service = "events.amazonaws.com" }
    Action    = "sqs:SendMessage"
    Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.failures.arn } }
  }

  only_over_tls = {
    Sid       = "OnlyOverTls"
    Effect    = "Deny"
    Principal = "*"
    Action    = "sqs:*"
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  }
}
