# What the worker's own log shows: no Prometheus need scrape it. Its lines are JSON, and these fields of theirs
# mean nothing else; infra/tests/test_fargate.py finds each in the sources.

locals {
  alarm_actions = var.alarm_topic_arn == null ? [] : [var.alarm_topic_arn]

  watched_lines = {
    breaker-open = {
      pattern = "{ ($.level = \"WARN\") && ($.breaker = \"*\") }"
      periods = 2
      what    = "a required route, or Step Functions, keeps failing, so that failures wait: docs/deploy.md#misstepbreakeropen"
    }
    route-fails = {
      pattern = "{ ($.level = \"WARN\") && ($.route = \"*\") }"
      periods = 3
      what    = "a route has not accepted notifications for 15 minutes: docs/deploy.md#missteproutefails"
    }
    degraded-reports = {
      pattern = "{ $.degraded = \"*\" }"
      periods = 1
      what    = "a failure was reported without its history: docs/deploy.md#misstepreportsdenied"
    }
    errors = {
      pattern = "{ $.level = \"ERROR\" }"
      periods = 1
      what    = "the worker panicked, or could not dead-letter a message: check its log"
    }
  }
}

resource "aws_cloudwatch_log_metric_filter" "watched" {
  for_each = local.watched_lines

  name           = "${var.event_rule_name}-${each.key}"
  log_group_name = aws_cloudwatch_log_group.worker.name
  pattern        = each.value.pattern

  metric_transformation {
    namespace     = "misstep/${var.event_rule_name}"
    name          = each.key
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "watched" {
  for_each = local.watched_lines

  alarm_name          = "${var.event_rule_name}-${each.key}"
  alarm_description   = each.value.what
  namespace           = aws_cloudwatch_log_metric_filter.watched[each.key].metric_transformation[0].namespace
  metric_name         = aws_cloudwatch_log_metric_filter.watched[each.key].metric_transformation[0].name
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = each.value.periods
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = local.alarm_actions
  tags                = local.tags
}
