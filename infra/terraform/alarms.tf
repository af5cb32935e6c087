# SQS reports nothing of a queue that nobody used for six hours, and EventBridge no failures where there
# are none: missing data is good news, hence "notBreaching".

locals {
  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]

  dead_letter_queues = {
    dead-letters        = { name = aws_sqs_queue.dead_letter.name, what = "messages that misstep could not deal with: misstep dlq list" }
    target-dead-letters = { name = aws_sqs_queue.target_dead_letter.name, what = "events that EventBridge could not put into the queue" }
  }

  failed_deliveries = {
    failed-invocations = { metric = "FailedInvocations", what = "EventBridge could not put events into the queue" }
    lost-events        = { metric = "InvocationsFailedToBeSentToDlq", what = "events are lost: not even the dead-letter queue took them" }
  }
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  for_each = local.dead_letter_queues

  alarm_name          = "${var.event_rule_name}-${each.key}"
  alarm_description   = each.value.what
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = each.value.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "oldest_message" {
  alarm_name          = "${var.event_rule_name}-oldest-message"
  alarm_description   = "failures wait to be told: is the worker running, and the notification API?"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = aws_sqs_queue.queue.name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.oldest_message_alarm_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "failed_deliveries" {
  for_each = local.failed_deliveries

  alarm_name          = "${var.event_rule_name}-${each.key}"
  alarm_description   = each.value.what
  namespace           = "AWS/Events"
  metric_name         = each.value.metric
  dimensions          = { RuleName = aws_cloudwatch_event_rule.failures.name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  tags                = local.tags
}
